"""Training: the recipe behind `pretrain` and `finetune`."""
