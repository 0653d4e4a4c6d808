"""Schema of the experiment config: every key with its type, unit, default and bounds.

`docs/reference/config.md`, `config schema` and `config init` are derived from these classes. Functions that build
something take one section or plain values, never the whole config.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from transfercli.config.repositories import RepositoryFile, RepositoryName, Revision
from transfercli.config.types import (
    AlertExit,
    Allowed,
    Background,
    Budget,
    Channels,
    Day,
    Device,
    Flag,
    FolderName,
    Fraction,
    Gate,
    ImageSize,
    NonNegative,
    Number,
    Pattern,
    Positive,
    PositiveShare,
    Rate,
    RowName,
    Seed,
    Seeds,
    SelectionMetric,
    Sha256,
    Share,
    SplitSource,
    Task,
    Text,
    Unfreeze,
    Whole,
)


class Section(BaseModel):
    """Immutable mapping in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class RunReference(Section):
    """Reference to an earlier run."""

    run: Text = Field(
        description="a run, as on the command line: a path, EXPERIMENT, EXPERIMENT/RUN_ID or EXPERIMENT@champion"
    )


class RunWeights(RunReference):
    """Weights of an earlier run."""

    until: Text | None = Field(
        None, description="last stage whose weights are copied; later stages are initialised anew; null copies all"
    )


WeightFormat = Literal["auto", "keras", "pytorch"]
WEIGHT_FORMAT = (
    "names of the tensors: keras (those of this program or of Keras), pytorch (torchvision, timm, transformers …), or"
    " auto: the file's names say which"
)


class FileWeights(Section):
    """Weights from a file."""

    path: Text = Field(description="a .safetensors, .weights.h5 or _notop.h5 file, relative to the config")
    sha256: Sha256 | None = Field(
        None, description="the file's SHA-256, checked before loading; null prints the file's hash"
    )
    format: WeightFormat = Field("auto", description=WEIGHT_FORMAT)


class HubWeights(Section):
    """Weights from a repository of the Hugging Face Hub, through its local cache."""

    hub: RepositoryName = Field(description="repository, such as timm/resnet18.a1_in1k")
    revision: Revision | None = Field(
        None, description="commit, branch or tag; null: main; the commit that was used is recorded in run.json"
    )
    file: RepositoryFile = Field("model.safetensors", description="a .safetensors file of the repository")
    sha256: Sha256 | None = Field(
        None, description="the file's SHA-256, checked before loading; null prints the file's hash"
    )
    format: WeightFormat = Field("auto", description=WEIGHT_FORMAT)


class ColumnsConfig(Section):
    """Names of a table's columns."""

    path: Text = Field(
        "path",
        description="path of the image, relative to the table's folder; of a Parquet file, the column that holds the"
        " images, else image",
    )
    label: Annotated[
        Text | Annotated[list[Text], Field(min_length=1)],
        Allowed("the name of a column, or a list of columns with one label each, such as [dog, cat] or [finding_*]"),
    ] = Field(
        "label",
        description="label of the image (labels, if a table has no column label); or a list of columns, one for each"
        " label: 1 if the image has it, 0 if not, -1 if nobody knows, data.empty_labels if empty; finding_* stands for"
        " all that match",
    )
    split: Text = Field("split", description="train, validation, test or empty; the column may be missing")
    group: Text | None = Field(
        None, description="images with the same value stay in one split, as with data.group; null: no such column"
    )
    id: Text = Field("id", description="the value of {id} in data.path_template")


class ExpectConfig(Section):
    """Images that must be there; fewer are an error of the data."""

    min_images: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="smallest number of usable images, in all splits together; null: not checked"
    )
    classes: Annotated[
        Annotated[list[Text], Field(min_length=1)] | Annotated[Whole, Field(ge=2)] | None,
        Allowed("a list of names, such as [cat, dog] or ['0', '1'] (digits in quotes), or a whole number from 2"),
    ] = Field(
        None,
        description="classes that must have usable images: their names (others may be there, too), or their number at"
        " least; null: not checked",
    )


class DataConfig(Section):
    """Images, splits and image size."""

    train: Text = Field(
        description="training images: a folder (one sub-folder per class, or train/, validation/ and test/ of such), a"
        " CSV/JSONL file with the columns path,label[,split], .tar or .parquet files that hold the images"
        " (train-{000..009}.tar, train-*.parquet, or a folder of them), the address of any of these (s3://, gs://,"
        " hf://; https:// without folders), or keras:NAME"
    )
    validation: SplitSource = Field(
        0.15, description="validation images: a folder or file, or the fraction of the training images to set aside"
    )
    test: SplitSource | None = Field(
        0.15, description="test images: a folder or file, a fraction of the training images, or null for none"
    )
    split: Literal["hash", "stratified"] = Field(
        "hash",
        description="how new images are assigned to splits: by the hash of their pixels, or stratified by class with"
        " the seed; splits.csv keeps every assignment",
    )
    folds: Annotated[Whole, Field(ge=2, le=1000)] | None = Field(
        None, description="number of folds for cross-validation, instead of a fraction for validation; null: no folds"
    )
    fold: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(
        None, description="number of the fold used for validation, from 1; the others train"
    )
    group: Pattern | None = Field(
        None,
        description="images of the same group stay in one split: a column of the table, or a regular expression on the"
        " path (its first group, or the whole match); null: no groups",
    )
    columns: ColumnsConfig = Field(default_factory=ColumnsConfig)
    path_template: Text | None = Field(
        None,
        description="path of an image, relative to the table's folder, made of its columns: images/{id}.jpg; null: the"
        " column path has it",
    )
    label_separator: Text | None = Field(
        None,
        description="text between the labels of an image in the column for labels: ; in green;blurry; null: an image"
        " has one label, or a list of labels in a JSONL file",
    )
    empty_labels: Literal["absent", "unknown"] | None = Field(
        None,
        description="empty cells in columns that hold one label each: absent: the image does not have the label;"
        " unknown: nobody knows; null: unknown if the columns have a 0 somewhere, else absent",
    )
    order: Annotated[list[Text], Field(min_length=2)] | None = Field(
        None,
        description="task ordinal: the classes, from the lowest to the highest; null: by number, if all names are"
        " numbers",
    )
    expect: ExpectConfig | None = Field(
        None,
        description="images that must be there; its keys also end the warnings of retrain about lost images; null: any",
    )
    image_size: ImageSize | None = Field(
        None,
        description="the network's input in pixels: one number, or [height, width]; null: the base's own size",
    )
    channels: Channels = Field(3, description="colour channels of the network's input: 3 (RGB) or 1 (grey)")
    resize: Literal["stretch", "crop", "pad"] = Field(
        "stretch",
        description="resizing of an image with another aspect ratio: stretch distorts it, crop keeps the centre, pad"
        " adds black bars",
    )
    background: Background = Field(
        "white",
        validate_default=True,
        description='colour that transparent pixels are laid on: a CSS name or "#rrggbb"; none drops the opacity and'
        " keeps the colours stored under it, which are mostly black",
    )
    levels: Literal["tags", "stretch", "earlier"] = Field(
        "tags",
        description="brightness of 16-bit samples: by the tags of the file, or stretch to the bits that its samples use"
        " (8, 10, 12 or 14); earlier is for runs from before this key: the high byte, whatever the tags are",
    )
    profiles: Literal["convert", "ignore"] = Field(
        "convert", description="colour profiles in image files: convert the colours to sRGB, or ignore the profile"
    )
    max_megapixels: Annotated[Number, Field(gt=0, le=10_000)] = Field(
        50.0,
        description="largest image that is decoded, in millions of pixels; larger JPEGs are read at 1/2, 1/4 or 1/8 of"
        " their size, other formats are refused",
    )
    unlabelled: Text | None = Field(
        None,
        description="images of the target without labels: a folder, at any depth, a CSV/JSONL file with the column"
        " path, or archives as in train; a solved head may use them, and they never validate or test; null: none",
    )
    related: list[Text] = Field(
        default_factory=list,
        description="labelled images of neighbouring domains with the same classes: image folders, CSV/JSONL files or"
        " archives as in train; a solved head trains on them, and they never validate or test",
    )
    corrections: Text | None = Field(
        None,
        description="CSV file of label decisions (path,sha256,old,new,who,when), as the label review of transfercli ui"
        " writes it; images are never moved or changed; a file that does not exist yet corrects nothing; null: none",
    )
    batch_size: Annotated[Whole, Field(ge=1, le=65536)] = Field(32, description="images per training step")
    max_bad_fraction: Share = Field(
        0.01, description="largest fraction of unreadable images accepted; they are listed and left out"
    )


AugmentationLayer = Annotated[
    dict[Annotated[str, RowName("augmentation layer")], dict[str, Any]],
    Field(min_length=1, max_length=1),
    Allowed("one Keras layer and its arguments, such as {RandomFlip: {mode: horizontal}}"),
]


class AugmentationConfig(Section):
    """Random changes to training images."""

    preset: Annotated[str, RowName("augmentation")] = Field("none", description="strength of the augmentation")
    layers: list[AugmentationLayer] | None = Field(
        None,
        description="Keras layers instead of a preset: [{RandomFlip: {mode: horizontal}}, …]; MixUp and CutMix have the"
        " arguments alpha and probability",
    )
    views: Annotated[Whole, Field(ge=1, le=64)] = Field(
        4, description="augmented views per image if features are cached"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> AugmentationConfig:
        if self.layers and self.preset != "none":
            raise ValueError("give preset or layers, not both")
        return self


class HeadConfig(Section):
    """Layers on top of the base."""

    pooling: Literal["avg", "max", "flatten", "token", "token_avg"] | None = Field(
        None,
        description="pooling of the base's features to a vector; token: the class token of a vision transformer,"
        " token_avg: that and the mean of its patches; null: as the published network, avg for every other base",
    )
    hidden: list[Annotated[Whole, Field(ge=1, le=65536)]] = Field(
        default_factory=list, description="units of each hidden layer (ReLU), from the base upwards"
    )
    dropout: Rate = Field(0.0, description="dropout rate before the output layer")
    taps: list[Text] | Literal["stages"] | None = Field(
        None,
        description="stages or layers of the base whose features the head reads besides the base's output; stages: the"
        " tops of its upper stages; []: none; null: stages for the strategies that start from a multilayer probe",
    )
    normalisation: Literal["none", "length", "root"] | None = Field(
        None,
        description="of the pooled features of each layer that the head reads; length: divided by their Euclidean norm;"
        " root: the signed square root, then divided by the norm; null: by cross-validation",
    )
    output: Literal["softmax", "sigmoid"] = Field(
        "softmax",
        description="softmax: one unit per class; sigmoid: one unit and binary cross-entropy, for two classes",
    )
    init: Literal["new", "keep", "extend"] = Field(
        "new",
        description="new: random weights; keep: the head of the run or file in model.weights; extend: the head of the"
        " run plus new classes",
    )


class MemberConfig(Section):
    """Further network of an average of several."""

    base: Annotated[str, RowName("base")] = Field(description="name of its base")
    head: HeadConfig = Field(description="its head")


class ModelConfig(Section):
    """Network: base, weights and head."""

    base: Annotated[str, RowName("base")] | Literal["auto"] | RunReference = Field(
        description="name of a base, {run: RUN} for the architecture of an earlier run, or auto for the base that the"
        " weights of model.weights were trained with"
    )
    weights: Literal["imagenet", "none"] | RunWeights | FileWeights | HubWeights = Field(
        "imagenet",
        description="weights of the base; with the strategy scratch the default is none",
    )
    head: HeadConfig = Field(default_factory=HeadConfig)
    drop_path: Rate = Field(
        0.0,
        description="vision transformers: probability that training skips the last block for an image; it falls evenly"
        " to 0 at the first block, and frozen blocks are never skipped",
    )
    members: list[MemberConfig] = Field(
        default_factory=list,
        description="further networks, whose probabilities are averaged with those of base and head; only `merge`"
        " writes them, into the config of the run that it makes",
    )


class PhaseConfig(Section):
    """Training phase with a fixed set of trainable layers."""

    unfreeze: Unfreeze = Field(
        "none",
        description="what trains besides the head: none, all, the name of a stage or layer (it and all above), or a"
        " number of layers from the top",
    )
    epochs: Annotated[Whole, Field(ge=1, le=100000)] = Field(description="epochs of this phase")
    learning_rate: Positive | None = Field(None, description="peak learning rate of the phase; null: the optimizer's")
    decay: PositiveShare = Field(
        1.0,
        description="learning rate of each stage of the base, as a fraction of the rate of the stage above it"
        " (layer-wise decay, with the blocks of a transformer as stages); 1: the same rate everywhere",
    )


class LoraConfig(Section):
    """Low-rank adaptation: frozen kernels, each plus the trained product of two small matrices."""

    rank: Annotated[Whole, Field(ge=1, le=1024)] = Field(8, description="rank of the change of each kernel")
    alpha: Positive | None = Field(
        None, description="scale of the change, which is multiplied by alpha / rank; null: the rank, a factor of 1"
    )
    layers: list[Text] | None = Field(
        None,
        min_length=1,
        description="adapted layers by the ends of their names, such as [query, key, value, projection]; null: query"
        " and value of each attention, or every convolution and dense layer of a base without attention",
    )


class TransferConfig(Section):
    """Trainable parts of the base, and the order in which they train."""

    strategy: Annotated[str, RowName("strategy")] | None = Field(
        None, description="what is trained and how; null: feature_extraction for finetune, scratch for pretrain"
    )
    unfreeze: Unfreeze | None = Field(
        None,
        description="partial, lora: the lowest part of the base that trains: the name of a stage or layer, or a number"
        " of layers from the top; null: for partial the last stage, for lora all",
    )
    phases: list[PhaseConfig] | None = Field(None, min_length=1, description="explicit phases, instead of a strategy")
    budget: Budget = Field(
        "3x",
        description="auto: limit on its total time in seconds, or on its work as a multiple (3x) of its probe's work,"
        " which is the same on any machine",
    )
    align: Literal["none", "centre", "moments", "coral", "auto"] = Field(
        "auto",
        description="alignment of features of data.related or the source with those of data.unlabelled and the target:"
        " centre: equal means; moments: equal means and variances; coral: equal covariances; auto: only if a gain is"
        " shown",
    )
    lora: LoraConfig = Field(default_factory=LoraConfig)


class OptimizerConfig(Section):
    """Optimizer: update rule of the weights."""

    name: Annotated[str, RowName("optimizer")] = Field("adam", description="the update rule")
    learning_rate: Positive = Field(1e-3, description="peak learning rate, reached after the warm-up")
    weight_decay: NonNegative = Field(0.0, description="decoupled weight decay (Loshchilov & Hutter 2019)")
    momentum: Rate = Field(0.9, description="sgd: momentum")
    clip_norm: Positive | None = Field(
        None, description="largest norm of the gradient over all variables; null: no limit"
    )
    accumulate: Annotated[Whole, Field(ge=1, le=65536)] = Field(
        1,
        description="batches whose gradients are averaged for one update: large batches in little memory; an epoch ends"
        " with an update of the batches that are left",
    )
    ema: Fraction | None = Field(
        None,
        description="decay of a moving average of the weights, which is validated and saved instead of them; after t"
        " updates at most (1 + t) / (10 + t), so that short trainings do not keep their first weights; null: no"
        " average",
    )


class ScheduleConfig(Section):
    """Learning-rate schedule over a phase."""

    name: Annotated[str, RowName("schedule")] = Field("constant", description="shape of the learning rate over a phase")
    warmup_epochs: NonNegative = Field(
        0.0, description="epochs of linear warm-up at the start of a phase; no more than the training has"
    )
    step_epochs: Positive = Field(10.0, description="step: epochs between two reductions")
    gamma: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.1, description="step, plateau: factor of each reduction; exponential: factor at the end of the phase"
    )
    patience: Annotated[Whole, Field(ge=1)] = Field(
        3, description="plateau: epochs without a lower validation loss after which the rate is reduced"
    )


class RegularizationConfig(Section):
    """Penalties against overfitting."""

    l1: NonNegative = Field(0.0, description="L1 penalty on trainable kernels")
    l2: NonNegative = Field(0.0, description="L2 penalty on trainable kernels")
    label_smoothing: Rate = Field(
        0.0, description="part of each target spread evenly over all classes (Szegedy et al. 2016)"
    )


class LossConfig(Section):
    """Training loss."""

    name: Annotated[str, RowName("loss")] = Field(
        "cross_entropy", description="focal (Lin et al. 2017) gives well-classified images less weight"
    )
    gamma: NonNegative = Field(2.0, description="focal: focusing exponent; 0 is cross-entropy")


class EarlyStoppingConfig(Section):
    """Early end of a phase without improvement."""

    monitor: Literal[
        "val_loss",
        "val_accuracy",
        "val_macro_f1",
        "val_balanced_accuracy",
        "val_map",
        "val_micro_f1",
        "loss",
        "accuracy",
    ] = Field(
        "val_loss",
        description="metric that must improve, and by which the best epoch is chosen; val_map and val_micro_f1 are for"
        " several labels per image",
    )
    min_delta: NonNegative = Field(0.0, description="an improvement by no more than this does not count")
    patience: Annotated[Whole, Field(ge=1)] | None = Field(
        5,
        description="epochs without improvement after which the phase ends; null: it never ends early, and `monitor`"
        " only chooses the best epoch",
    )


class TrainingConfig(Section):
    """Epochs, optimizer, loss and sampling of training."""

    epochs: Annotated[Whole, Field(ge=1, le=100000)] = Field(
        20, description="epochs of gradient training in all, divided among the phases"
    )
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    regularization: RegularizationConfig = Field(default_factory=RegularizationConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    sampling: Literal["shuffle", "balanced"] = Field(
        "shuffle",
        description="shuffle: every image once per epoch; balanced: all classes equally often, with the same number of"
        " images per epoch",
    )
    class_weights: Literal["balanced"] | dict[str, Positive] | None = Field(
        None, description="weight of each class in the loss: balanced (inverse frequency), one per label, or null (1)"
    )
    early_stopping: EarlyStoppingConfig | None = Field(None, description="null: all epochs are trained")
    refit: Flag | None = Field(
        None,
        description="solve the head again on training and validation images together; scores stay cross-validated;"
        " null: true for linear_probe, multilayer_probe and auto",
    )
    seeds: Seeds | None = Field(
        None,
        description="one run is trained for each of these seeds, and mean and spread are shown; the splits stay those"
        " of the key seed; null: one run, with that seed",
    )

    @property
    def monitor(self) -> str:
        """Metric by which the best epoch is chosen."""
        return self.early_stopping.monitor if self.early_stopping else "val_loss"


class ComputeConfig(Section):
    """Precision, caches and processor cores."""

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of training steps and cached features; auto: features in bfloat16 if the device supports it, and"
        " with TensorFlow steps of large convolutional networks on processors that do, unless the first loss differs"
        " from that in float32; the trained weights then differ from those of float32, which turns it off;"
        " evaluation, prediction and exports are always float32",
    )
    cache: Literal["auto", "off", "require"] = Field(
        "auto",
        description="cache of decoded images and of frozen layers' features; auto: features if that saves time;"
        " require: always, an error if that is not possible",
    )
    cache_dir: Text | None = Field(
        None, description="folder of the caches; null: TRANSFERCLI_CACHE, or the user's cache folder"
    )
    cache_max_gb: Positive = Field(
        50.0, description="size limit of the caches in gigabytes (10^9 bytes); the disk's free space limits them, too"
    )
    threads: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(
        None, description="processor threads; null: every core"
    )
    deterministic: Flag = Field(True, description="bit-identical results of reruns on the same machine")
    device: Device = Field(
        "auto",
        description="auto: accelerators if there are any; cpu; gpu: an error without one; gpu:N: that one, from 0",
    )
    distribution: Literal["none", "data_parallel"] = Field(
        "none",
        description="data_parallel: every batch is shared out over all devices of all processes (KERAS_BACKEND=jax)",
    )
    peer_timeout: Annotated[Number, Field(ge=1, le=86_400)] = Field(
        60.0, description="data_parallel: seconds without a sign of life after which another process counts as lost"
    )


class AbstainConfig(Section):
    """Target for the confidence threshold below which predictions abstain.

    It is chosen on the validation images and promised for new ones: it holds in 95% of all draws of validation images.
    """

    accuracy: PositiveShare | None = Field(
        None,
        description="fraction of the answers that are right; 0.9, 0.95 and 0.99 take at least 29, 59 and 299"
        " validation images",
    )
    coverage: PositiveShare | None = Field(None, description="fraction of the images that are answered")

    @model_validator(mode="after")
    def _one_of_both(self) -> AbstainConfig:
        if (self.accuracy is None) == (self.coverage is None):
            raise ValueError("give accuracy or coverage, one of the two")
        return self


class ThresholdConfig(Section):
    """Target of the probability from which a label is answered, reached on the validation images."""

    recall: Fraction | None = Field(None, description="share of the images with the label that get it, at least")
    precision: Fraction | None = Field(None, description="share of the answers with the label that are right, at least")

    @model_validator(mode="after")
    def _one_of_both(self) -> ThresholdConfig:
        if (self.recall is None) == (self.precision is None):
            raise ValueError("give recall or precision, one of the two")
        return self


class EvaluationConfig(Section):
    """Metrics, gates and slices of `evaluate`."""

    metrics: list[Annotated[str, RowName("metric")]] = Field(
        default_factory=lambda: ["accuracy", "macro_f1"],
        min_length=1,
        description="metrics shown first in tables; with several labels per image [map, macro_f1] if it is not set",
    )
    gates: dict[str, Gate] = Field(
        default_factory=dict, description='bounds that metrics must meet: {accuracy: 0.9, ece: "<=0.05"}'
    )
    thresholds: Literal["f1", "expected_f1"] | ThresholdConfig | None = Field(
        None,
        description="several labels: the probability from which each label is answered, chosen on the validation"
        " images: f1: highest F1; expected_f1: highest F1 that the calibrated probabilities expect, better with few"
        " positives; {precision: P} or {recall: R}: that precision or recall at least; null: 0.5",
    )
    threshold: Literal["f1", "expected_f1"] | ThresholdConfig | None = Field(
        None,
        description="two classes: the probability from which the second class by name is answered, chosen on the"
        " validation images as in thresholds; null: 0.5",
    )
    slices: list[Text] = Field(
        default_factory=list,
        description="properties by which a split is divided for separate metrics: brightness, image_size or a column of"
        " the table",
    )
    abstain: AbstainConfig | None = Field(
        default_factory=lambda: AbstainConfig(accuracy=0.99),
        description="target of predict --abstain: {accuracy: 0.99} or {coverage: 0.9}; null: it abstains only from"
        " images unlike the training images",
    )


class ExportConfig(Section):
    """Formats of `export`."""

    formats: list[Annotated[str, RowName("format")]] = Field(
        default_factory=lambda: ["saved_model"], min_length=1, description="formats written without --format"
    )


class PromoteConfig(Section):
    """Conditions for a challenger to replace the champion."""

    metric: Annotated[str, RowName("metric")] = Field(
        "accuracy",
        description="metric that a challenger must improve; with several labels per image map if it is not set",
    )
    min_gain: NonNegative = Field(0.0, description="smallest gain of that metric")
    confidence: Fraction = Field(0.95, description="confidence level of the paired bootstrap")
    lifetime_confidence: Fraction | None = Field(
        0.95,
        description="probability that no worse challenger is promoted, over all nights that use the same test images;"
        " null: every night counts alone",
    )
    per_class_floor: Share | None = Field(
        None, description="smallest recall allowed for any class; a lower one rejects; null: no limit"
    )
    max_latency_ratio: Positive | None = Field(
        None,
        description="largest time per image, as a multiple of the champion's; a longer one rejects; null: no limit",
    )


class AlertConfig(Section):
    """Alerts of `retrain` about the champion and the data. Changing them starts no training."""

    exit: AlertExit = Field(0, description="exit code of a night with an alert that would end with 0 otherwise")
    level: Annotated[Number, Field(gt=0, le=0.05)] = Field(
        0.001, description="rate of false alarms of a night, for each kind of alert that is a statistical test"
    )
    champion_fell: Flag = Field(
        True, description="the champion has more errors on new test images than on earlier ones of the same classes"
    )
    class_without_row: Flag = Field(True, description="the data has a class that the champion cannot answer")
    images_lost: Flag = Field(
        True, description="a class or more than a tenth of the images is gone since an earlier night"
    )
    labels_contradict: Flag = Field(
        True, description="the labels of new images contradict the models more often than usual"
    )
    drift: Flag | None = Field(
        None,
        description="new images are unlike those of the champion; true: measured in every night that trains; null: only"
        " with when: drifted, which measures it anyway; false: never",
    )
    accepted_until: Day | None = Field(
        None,
        description="alerts that were first reported on this day or before are not reported again;"
        " data.expect accepts images_lost",
    )


class MonitorConfig(Section):
    """Recent images without labels that start a training, once the champion's answers to them are expected too bad."""

    recent: Text = Field(description="their folder, or the folder of predict --log or serve --log")
    min_expected: Annotated[dict[str, Share], Field(min_length=1)] = Field(
        description="the lowest expected metrics, such as {accuracy: 0.85}; one below starts a training"
    )


class RetrainConfig(Section):
    """Scheduled retraining (`retrain`)."""

    start: Literal["champion", "base"] = Field(
        "champion", description="weights that a challenger starts from: the champion's, or those of model.weights"
    )
    when: Literal["changed", "drifted", "expected", "always"] = Field(
        "changed",
        description="changed (images, config, weights or program version), drifted (new images are unlike"
        " the champion's), expected (changed, and the champion's answers to retrain.monitor.recent are expected to be"
        " below its bounds), or always",
    )
    monitor: MonitorConfig | None = Field(None, description="when: expected: what starts a training")
    promote: PromoteConfig = Field(default_factory=PromoteConfig)
    audit: Rate = Field(
        0.2, description="fraction of the test images that never decide and give the champion's honest number; 0: none"
    )
    on_decision: list[Text] = Field(
        default_factory=list,
        description="a program and its arguments; it gets each decision as JSON on stdin; needs --allow-hooks",
    )
    alert: AlertConfig = Field(default_factory=AlertConfig)
    versions: Text | None = Field(
        None,
        description="folder that gets the SavedModel of each new champion as its next version 1, 2, 3 …, for a running"
        " TensorFlow Serving; needs saved_model in export.formats",
    )
    keep_versions: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="number of versions to keep there, the newest ones; null: all"
    )


class SearchRange(Section):
    """Values that a sweep tries for one key: a choice, or an interval, on a logarithmic scale or not."""

    choice: Annotated[list[Any], Field(min_length=1)] | None = Field(
        None, description="values of any form, one of them"
    )
    log: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = Field(
        None, description="lowest and highest value; every factor between them is equally likely"
    )
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = Field(
        None, description="lowest and highest value; both are whole numbers for a key that takes only these"
    )
    step: Positive | None = Field(None, description="distance of the values of range; null: any value between")

    @model_validator(mode="after")
    def _one_of_all(self) -> SearchRange:
        given = [name for name in ("choice", "log", "range") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give choice, log or range, one of the three")
        if self.step is not None and self.range is None:
            raise ValueError("step needs range")
        bounds = self.log or self.range
        if bounds and not bounds[0] < bounds[1]:
            raise ValueError("the first number must be below the second")
        if self.log and self.log[0] <= 0:
            raise ValueError("a logarithmic scale needs numbers above 0")
        return self


class SweepConfig(Section):
    """Search for the best values of some keys (`sweep`). Other commands do not use it."""

    trials: Annotated[Whole, Field(ge=1, le=100_000)] | None = Field(
        None, description="number of trials in all; null: 20, or with the sampler grid every combination"
    )
    budget: Positive | None = Field(
        None, description="seconds after which no further trial begins; null: no limit of time"
    )
    sampler: Literal["tpe", "random", "grid"] = Field(
        "tpe",
        description="choice of the next values: tpe (Bergstra et al. 2011) learns from the trials so far, random does"
        " not (Bergstra & Bengio 2012), grid tries every combination of choices and stepped ranges",
    )
    pruner: Literal["none", "median", "successive_halving"] = Field(
        "median",
        description="early end of trials that look bad: below the median of the trials so far at the same epoch, or by"
        " successive halving (Li et al. 2018)",
    )
    metric: SelectionMetric = Field(
        "val_accuracy",
        validate_default=True,
        description="metric of the validation images that the search improves; with several labels per image val_map"
        " if it is not set",
    )
    folds: Annotated[Whole, Field(ge=2, le=1000)] | None = Field(
        None,
        description="judge each trial by cross-validation with this number of folds; null: by its validation images",
    )
    space: dict[Text, SearchRange] = Field(
        min_length=1,
        description="values to try for each key, such as {training.optimizer.learning_rate: {log: [1e-5, 1e-2]}}",
    )


class TrackingConfig(Section):
    """Metric tracking outside the run folder."""

    tensorboard: Flag = Field(
        True, description="write TensorBoard event files to the run folder: tensorboard --logdir RUN"
    )
    mlflow: Text | None = Field(
        None,
        description="MLflow store: a server's address, sqlite:///FILE or a folder; needs the mlflow extra; null: none",
    )


class ExperimentConfig(Section):
    """Config of one experiment: one YAML file."""

    name: FolderName = Field(description="name of the experiment: the folder under runs/")
    task: Task = Field(
        "classify",
        description="classify: one class per image; multilabel: any number of labels per image; ordinal: one of the"
        " steps of a scale, such as grades; regression: one number, such as an age; if the key is not set, it is"
        " multilabel for a table with several labels per image",
    )
    seed: Seed = Field(0, description="seed of all random draws")
    data: DataConfig
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    model: ModelConfig
    transfer: TransferConfig = Field(default_factory=TransferConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    retrain: RetrainConfig = Field(default_factory=RetrainConfig)
    sweep: SweepConfig | None = Field(None, description="null: no sweep")
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
