"""The experiment config: every key, its unit, its default and its bounds, once.

`docs/reference/config.md`, `config schema` and `config init` are derived from these classes; builders take one section
(or plain values), never the whole experiment.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from transfercli.config.types import (
    Allowed,
    Budget,
    Channels,
    Flag,
    FolderName,
    Fraction,
    Gate,
    ImageSize,
    NonNegative,
    Number,
    Part,
    Pattern,
    Positive,
    PositiveShare,
    Rate,
    Row,
    Sha256,
    Share,
    Text,
    Unfreeze,
    Whole,
)


class Section(BaseModel):
    """A mapping with known keys only; a resolved config does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class RunReference(Section):
    """An earlier run."""

    run: Text = Field(
        description="a run, as on the command line: a path, EXPERIMENT, EXPERIMENT/RUN_ID or EXPERIMENT@champion"
    )


class RunWeights(RunReference):
    """The weights of an earlier run."""

    until: Text | None = Field(None, description="copy the stages up to and with this one; those above start fresh")


class FileWeights(Section):
    """Weights from a file."""

    path: Text = Field(description="a .safetensors, .weights.h5 or _notop.h5 file, relative to the config")
    sha256: Sha256 | None = Field(None, description="the file's SHA-256; without it the hash found is printed")


class DataConfig(Section):
    """The images, and how they become arrays."""

    train: Text = Field(
        description="a folder (one sub-folder a class, or train/validation/test inside), a CSV/JSONL file or keras:NAME"
    )
    validation: Part = Field(0.15, description="a folder or file, or the fraction of the training images set aside")
    test: Part | None = Field(0.15, description="a folder or file, a fraction, or null for no test images")
    split: Literal["hash", "stratified"] = Field(
        "hash",
        description="how new images are put on sides: by their hash, or exact shares of every class, drawn with the"
        " seed; either way splits.csv keeps them there",
    )
    folds: Annotated[Whole, Field(ge=2, le=1000)] | None = Field(
        None, description="cross-validation: the number of folds, instead of a fraction for validation"
    )
    fold: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(
        None, description="the fold that validates, from 1; the others train"
    )
    group: Pattern | None = Field(
        None,
        description="keeps images of one subject on one side: a column of the table, or a regular expression on the"
        " path (its first group, or all that matches)",
    )
    image_size: ImageSize | None = Field(
        None, description="pixels: one number or [height, width]; null takes the base's own size"
    )
    channels: Channels = Field(3, description="3 for colour, 1 for grey")
    resize: Literal["stretch", "crop", "pad"] = Field(
        "stretch", description="how an image of another shape becomes image_size"
    )
    batch_size: Annotated[Whole, Field(ge=1, le=65536)] = Field(32, description="images a training step")
    max_bad_fraction: Share = Field(
        0.01, description="fraction of unreadable images tolerated (listed, never replaced)"
    )


AugmentationLayer = Annotated[
    dict[Annotated[str, Row("augmentation layer")], dict[str, Any]],
    Field(min_length=1, max_length=1),
    Allowed("one Keras layer and its arguments, such as {RandomFlip: {mode: horizontal}}"),
]


class AugmentationConfig(Section):
    """Random changes to training images."""

    preset: Annotated[str, Row("augmentation")] = Field("none", description="strength by name")
    layers: list[AugmentationLayer] | None = Field(
        None,
        description="Keras layers instead of a preset: [{RandomFlip: {mode: horizontal}}, …]; MixUp and CutMix take"
        " alpha and probability",
    )
    views: Annotated[Whole, Field(ge=1, le=64)] = Field(
        4, description="distinct augmented views of an image where features are cached"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> AugmentationConfig:
        if self.layers and self.preset != "none":
            raise ValueError("give preset or layers, not both")
        return self


class HeadConfig(Section):
    """What stands on the base."""

    pooling: Literal["avg", "max", "flatten"] = Field("avg", description="how the base's feature map becomes a vector")
    hidden: list[Annotated[Whole, Field(ge=1, le=65536)]] = Field(
        default_factory=list, description="units of each hidden layer (ReLU)"
    )
    dropout: Rate = Field(0.0, description="dropout rate before the output layer")
    output: Literal["softmax", "sigmoid"] = Field(
        "softmax", description="sigmoid: one unit and binary cross-entropy, for two classes"
    )
    init: Literal["new", "keep", "extend"] = Field(
        "new", description="new head; keep the earlier run's; or keep its rows and add new classes"
    )


class ModelConfig(Section):
    """The network."""

    base: Annotated[str, Row("base")] | RunReference = Field(
        description="a base by name, or {run: RUN} for the architecture of an earlier run"
    )
    weights: Literal["imagenet", "none"] | RunWeights | FileWeights = Field(
        "imagenet",
        description="where the base's weights come from; none where the strategy is scratch and nothing is said",
    )
    head: HeadConfig = Field(default_factory=HeadConfig)


class PhaseConfig(Section):
    """A stretch of training with one set of trainable layers."""

    unfreeze: Unfreeze = Field(
        "none", description="none (the head only), all, a stage, a layer, or a number of layers from the top"
    )
    epochs: Annotated[Whole, Field(ge=1, le=100000)] = Field(description="epochs of this phase")
    learning_rate: Positive | None = Field(None, description="null takes the optimizer's")


class TransferConfig(Section):
    """What of the base is trained, and when."""

    strategy: Annotated[str, Row("strategy")] | None = Field(
        None, description="null: feature_extraction for finetune, scratch for pretrain"
    )
    unfreeze: Unfreeze | None = Field(
        None, description="for partial: a stage, a layer, or a number of layers from the top; null takes the last stage"
    )
    phases: list[PhaseConfig] | None = Field(
        None, min_length=1, description="explicit phases, instead of the strategy's own"
    )
    budget: Budget = Field(
        "3x", description="for auto: what it may take in all, in seconds or as a multiple (3x) of what its probe takes"
    )


class OptimizerConfig(Section):
    """How weights are updated."""

    name: Annotated[str, Row("optimizer")] = Field("adam", description="the update rule")
    learning_rate: Positive = Field(1e-3, description="peak learning rate")
    weight_decay: NonNegative = Field(0.0, description="decoupled weight decay (Loshchilov & Hutter 2019)")
    momentum: Rate = Field(0.9, description="for sgd")
    clip_norm: Positive | None = Field(None, description="the longest gradient, of all variables together; null: any")
    accumulate: Annotated[Whole, Field(ge=1, le=65536)] = Field(
        1, description="batches whose gradients are averaged for one update: large batches in little memory"
    )
    ema: Fraction | None = Field(
        None,
        description="momentum of a moving average of the weights, which is judged and kept instead of them; null: none",
    )


class ScheduleConfig(Section):
    """The learning rate over a phase."""

    name: Annotated[str, Row("schedule")] = Field("constant", description="shape of the learning rate over a phase")
    warmup_epochs: NonNegative = Field(0.0, description="epochs of linear warm-up before it")
    step_epochs: Positive = Field(10.0, description="step: epochs between two drops")
    gamma: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.1, description="step: factor of a drop; exponential: factor left at the end of the phase"
    )


class RegularizationConfig(Section):
    """Penalties against overfitting."""

    l1: NonNegative = Field(0.0, description="L1 penalty on kernels that train")
    l2: NonNegative = Field(0.0, description="L2 penalty on kernels that train")
    label_smoothing: Rate = Field(0.0, description="label smoothing (Szegedy et al. 2016)")


class LossConfig(Section):
    """What training makes small."""

    name: Annotated[str, Row("loss")] = Field(
        "cross_entropy", description="focal (Lin et al. 2017) looks away from what is easy"
    )
    gamma: NonNegative = Field(2.0, description="focal: how far; 0 is cross-entropy")


class EarlyStoppingConfig(Section):
    """When a phase ends early."""

    monitor: Literal["val_loss", "val_accuracy", "loss", "accuracy"] = Field(
        "val_loss", description="what must improve"
    )
    patience: Annotated[Whole, Field(ge=1)] = Field(
        5, description="epochs of a phase without improvement before the phase ends"
    )


class TrainingConfig(Section):
    """How long and how to train."""

    epochs: Annotated[Whole, Field(ge=1, le=100000)] = Field(
        20, description="gradient epochs in all, shared out over the phases"
    )
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    regularization: RegularizationConfig = Field(default_factory=RegularizationConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    sampling: Literal["shuffle", "balanced"] = Field(
        "shuffle", description="balanced: every epoch draws the classes equally often, as many images in all"
    )
    class_weights: Literal["balanced"] | dict[str, Positive] | None = Field(
        None, description="null, balanced, or a weight for every label"
    )
    early_stopping: EarlyStoppingConfig | None = Field(None, description="null trains all epochs")


class ComputeConfig(Section):
    """Precision, caches and cores."""

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of training steps and cached features; auto: features in bfloat16 where the processor has it;"
        " what is reported or exported is always float32",
    )
    cache: Literal["auto", "off", "require"] = Field(
        "auto",
        description="of images and of what frozen layers make of them; auto keeps features where that pays, require"
        " always and stops where it cannot",
    )
    cache_dir: Text | None = Field(None, description="null takes the user's cache folder")
    cache_max_gb: Positive = Field(50.0, description="gigabytes the caches may hold")
    threads: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(None, description="null uses every core")
    deterministic: Flag = Field(True, description="bit-identical reruns on the same machine")
    distribution: Literal["none", "data_parallel"] = Field("none", description="over the devices of this host")


class AbstainConfig(Section):
    """From which confidence on a model is believed; chosen on the validation images."""

    accuracy: PositiveShare | None = Field(None, description="the share of the images kept that must be right")
    coverage: PositiveShare | None = Field(None, description="or the share of the images that must be kept")

    @model_validator(mode="after")
    def _one_of_both(self) -> AbstainConfig:
        if (self.accuracy is None) == (self.coverage is None):
            raise ValueError("give accuracy or coverage, one of the two")
        return self


class EvaluationConfig(Section):
    """What `evaluate` shows and asks for."""

    metrics: list[Annotated[str, Row("metric")]] = Field(
        default_factory=lambda: ["accuracy", "macro_f1"], min_length=1, description="shown first in tables"
    )
    gates: dict[str, Gate] = Field(
        default_factory=dict, description='bounds for evaluate: {accuracy: 0.9, ece: "<=0.05"}'
    )
    slices: list[Text] = Field(
        default_factory=list,
        description="parts of the split that get metrics of their own: by brightness, image_size or a column of the"
        " table",
    )
    abstain: AbstainConfig | None = Field(
        default_factory=lambda: AbstainConfig(accuracy=0.99),
        description="what predict --abstain must reach: {accuracy: 0.99} or {coverage: 0.9}; null: it leaves out only"
        " what is unlike the training images",
    )


class ExportConfig(Section):
    """What `export` writes."""

    formats: list[Annotated[str, Row("format")]] = Field(
        default_factory=lambda: ["saved_model"], min_length=1, description="what export writes unless told otherwise"
    )


class PromoteConfig(Section):
    """When a challenger replaces the champion."""

    metric: Annotated[str, Row("metric")] = Field("accuracy", description="what a challenger must improve")
    min_gain: NonNegative = Field(0.0, description="least gain of that metric")
    confidence: Fraction = Field(0.95, description="confidence of the paired bootstrap")
    per_class_floor: Share | None = Field(None, description="least recall of every class; less rejects")
    max_latency_ratio: Positive | None = Field(
        None, description="most that an image may take, in times of what it takes the champion; more rejects"
    )


class RetrainConfig(Section):
    """For the scheduled verb `retrain`."""

    start: Literal["champion", "base"] = Field("champion", description="what a challenger starts from")
    when: Literal["changed", "drifted", "always"] = Field("changed", description="when there is anything to do")
    promote: PromoteConfig = Field(default_factory=PromoteConfig)
    on_decision: list[Text] = Field(
        default_factory=list,
        description="a program and its arguments that get each decision as JSON on stdin, where --allow-hooks is given",
    )


class TrackingConfig(Section):
    """Where metrics go besides the run folder."""

    tensorboard: Flag = Field(True, description="TensorBoard event files in the run folder: tensorboard --logdir RUN")
    mlflow: Text | None = Field(
        None,
        description="an MLflow store: a server's address, sqlite:///FILE or a folder; needs the mlflow extra",
    )


class ExperimentConfig(Section):
    """One YAML file, one experiment."""

    name: FolderName = Field(description="the experiment: the folder under runs/")
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = Field(0, description="every random draw follows from it")
    data: DataConfig
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    model: ModelConfig
    transfer: TransferConfig = Field(default_factory=TransferConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    retrain: RetrainConfig = Field(default_factory=RetrainConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
