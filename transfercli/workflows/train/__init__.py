"""Training: the workflow of `pretrain` and `finetune`."""
