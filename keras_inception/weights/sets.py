"""The record of a released weight set: what it is, where it lies, and how it wants to be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from keras_inception.numerics import Numerics
from keras_inception.preprocessing import Preprocessing

APACHE, MIT, BSD, NON_COMMERCIAL = "Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-NC-4.0"


@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """A released weight set.

    Attributes:
        tag: Its name here, such as `"timm/inception_v4.tf_in1k"`.
        network: Registry id of the network.
        arguments: Arguments of the network's builder that the weights need, where they are not the default ones.
        numerics: The conventions that the weights are exact under; None: the default ones of the network, which only a
            file of your own can mean.
        url: Where the publisher keeps the file.
        converter: Name of the converter that reads it.
        digest: What the file must hash to: `"sha256:..."`, `"md5:..."` or `"sha1:..."`, a prefix where the publisher
            gives no more; empty where none is published. Then the hash of the first download that could be read is
            noted, and later ones and every use are held to it.
        digest_of: `"file"`, or `"member"` where the publisher hashes what is inside the archive.
        licence: Under which the publisher offers the weights.
        preprocessing: From a picture to the network's input, size and crop included.
        classes: Number of classes.
        labels: Their names; empty: ImageNet's where there are 1,000 classes, else unknown.
        class_offset: Classes in front of ImageNet's first (TF-Slim's background), which are dropped.
        aux_heads: Whether the file holds trained auxiliary heads.
        top1: Recorded ImageNet top-1 accuracy in percent, of a single centre crop.
        top5: Likewise, top-5.
        accuracy_source: Whose figures these are.
    """

    tag: str
    network: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    numerics: Numerics | None
    url: str
    converter: str
    digest: str = ""
    digest_of: str = "file"
    licence: str
    preprocessing: Preprocessing
    classes: int = 1000
    labels: tuple[str, ...] = ()
    class_offset: int = 0
    aux_heads: bool = False
    top1: float | None = None
    top5: float | None = None
    accuracy_source: str = ""

    @property
    def needs_acceptance(self) -> bool:
        """Whether the licence forbids commercial use, so that it has to be accepted by name."""
        return "NC" in self.licence.split("-")

    @property
    def file_name(self) -> str:
        """Name of the file in the cache, below its folder: publisher and name, unlike any other set's."""
        publisher, _, name = self.tag.partition("/")
        original = self.url.rpartition("/")[2]
        return f"{publisher}/{original}" if original != "model.safetensors" else f"{publisher}/{name}.safetensors"


def sized(
    preprocessing: Preprocessing, size: int, crop: float = 0.875, interpolation: Any = "bilinear"
) -> Preprocessing:
    """The same preprocessing for images of a size."""
    return replace(preprocessing, size=size, crop=crop, interpolation=interpolation)
