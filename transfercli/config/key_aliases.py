"""Names that other programs give to the keys of a config; they are refused, and the message names the key."""

from __future__ import annotations

# Key here -> its names elsewhere: in Keras, PyTorch, timm, Lightning, Hugging Face Transformers, YOLO, scikit-learn.
NAMES_ELSEWHERE = {
    "name": "experiment experiment_name project run_name exp",
    "seed": "random_seed random_state manual_seed",
    "data.train": "dataset data_dir data_path train_dir train_data train_path root image_dir",
    "data.validation": "val valid val_dir val_split valid_split validation_split validation_dir val_size eval_dir",
    "data.test": "test_dir test_split test_size test_path",
    "data.image_size": "img_size imgsz input_size size resolution image_shape input_shape target_size imagesize",
    "data.channels": "color_mode grayscale in_chans num_channels",
    "data.batch_size": "bs batch batchsize train_batch_size per_device_train_batch_size",
    "data.folds": "kfold k_folds n_folds num_folds cv n_splits",
    "augmentation.preset": "aug augment augmentations augmentation transforms transform data_augmentation",
    "augmentation.layers": "mixup cutmix random_flip randaugment",
    "model.base": "backbone arch architecture network encoder model_name base_model",
    "model.weights": "pretrained init_weights initial_weights checkpoint_path",
    "model.head.dropout": "drop drop_rate dropout_rate",
    "model.head.hidden": "hidden_units hidden_layers hidden_size units dense_units",
    "transfer.unfreeze": "freeze frozen trainable freeze_backbone unfreeze_layers fine_tune_at trainable_layers",
    "transfer.lora.rank": "lora_rank lora_r r",
    "transfer.lora.alpha": "lora_alpha",
    "transfer.lora.layers": "target_modules lora_target_modules target_layers",
    "training.epochs": "epoch num_epochs n_epochs max_epochs nb_epochs num_train_epochs",
    "training.optimizer": "optim opt optimiser",
    "training.optimizer.learning_rate": "lr lr0 base_lr init_lr initial_lr learningrate",
    "training.optimizer.weight_decay": "wd decay",
    "training.optimizer.accumulate": "accumulation gradient_accumulation_steps accumulate_grad_batches accum_iter",
    "training.optimizer.clip_norm": "clipnorm grad_clip clip_grad max_grad_norm gradient_clip_norm gradient_clip_val",
    "training.schedule": "scheduler lr_scheduler lr_schedule sched lr_scheduler_type",
    "training.schedule.warmup_epochs": "warmup warm_up warmup_steps warmup_ratio",
    "training.loss": "criterion loss_fn loss_function",
    "training.class_weights": "class_weight",
    "training.regularization": "regularisation regularizer",
    "training.sampling": "shuffle sampler oversampling",
    "compute.threads": "workers num_workers n_jobs num_threads",
    "compute.precision": "amp fp16 bf16 mixed_precision dtype",
    "evaluation.metrics": "metric",
    "tracking.mlflow": "mlflow_uri tracking_uri",
}
# Names without a key -> the reason, or the option that does it.
WITHOUT_KEY = {
    "num_classes classes class_names labels nb_classes": "the classes are the sub-folders, or labels, of data.train",
    "output_dir out_dir save_dir log_dir output checkpoint_dir runs": "the option --runs DIR names the folder of runs",
    "resume resume_from": "the option --resume RUN resumes a run",
    "normalize normalization mean std rescale preprocessing": "every base scales the pixels as its weights need it",
    "steps_per_epoch": "an epoch is one pass over the training images",
}

_KEYS = {alias: key for key, names in NAMES_ELSEWHERE.items() for alias in names.split()}
_REASONS = {alias: reason for names, reason in WITHOUT_KEY.items() for alias in names.split()}


def key_of(name: str) -> str | None:
    """Return the key that other programs give this name, or None."""
    return _KEYS.get(name)


def meaning(name: str) -> str:
    """Return `did you mean KEY?`, or the reason why there is no such key; "" for a name that is not known elsewhere."""
    key = key_of(name)
    return f"did you mean {key}?" if key else _REASONS.get(name, "")
