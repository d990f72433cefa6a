"""The catalogue of released weight sets, and which of them `"imagenet"` means first.

Looking something up imports no framework and reads no file.
"""

from __future__ import annotations

import difflib
import functools
from typing import Any

from keras_inception.registry import get_entry
from keras_inception.weights.patterns import expand
from keras_inception.weights.released import imgclsmob, keras, others, slim, timm, torchvision
from keras_inception.weights.sets import WeightSet

PREFERRED = {  # patterns of tags: `"imagenet"` is the first set that fits the arguments; no set under a bad licence
    "inception_v1": ["slim/inception_v1", "torchvision/googlenet", "bvlc/googlenet"],
    "inception_v2": ["slim/inception_v2", "tf2cv/bninception", "cadene/bn_inception"],
    "inception_v3": [
        "keras/inception_v3",
        "timm/inception_v3.{gluon,tf,tf_adv,tv}_in1k",
        "slim/inception_v3",
        "tf2cv/inceptionv3",
        "torchvision/inception_v3",
    ],
    "inception_v4": ["timm/inception_v4.tf_in1k", "slim/inception_v4", "tf2cv/inceptionv4"],
    "inception_resnet_v1": ["tf2cv/inceptionresnetv1"],
    "inception_resnet_v2": [
        "keras/inception_resnet_v2",
        "timm/inception_resnet_v2.{tf,tf_ens_adv}_in1k",
        "slim/inception_resnet_v2",
        "tf2cv/inceptionresnetv2",
    ],
    "xception": ["keras/xception", "timm/legacy_xception.tf_in1k", "tf2cv/xception"],
    "resnext50": [
        "timm/resnext50_32x4d.{tv,tv2,a1h,a1,a2,a3,ra,gluon}_in1k",
        "tf2cv/resnext50_32x4d",
        "torchvision/resnext50_32x4d.{v1,v2}",
    ],
    "resnext101": [
        "timm/resnext101_32x4d.gluon_in1k",
        "timm/resnext101_64x4d.{c1,gluon}_in1k",
        "tf2cv/resnext101_{32x4d,64x4d}",
        "torchvision/resnext101_32x8d.{v1,v2}",
        "torchvision/resnext101_64x4d",
    ],
    "mobilenet_v1": [
        "keras/mobilenet_v1_{1.0,0.75,0.5,0.25}_{224,192,160,128}",
        "timm/mobilenetv1_100.ra4_e3600_r224_in1k",
        "slim/mobilenet_v1_{1.0,0.75,0.5,0.25}_{224,192,160,128}",
        "tf2cv/mobilenet_{w1,w3d4,wd2,wd4}",
    ],
    "shufflenet": ["tf2cv/shufflenet_g{3,1,2,4,8}_w1", "tf2cv/shufflenet_g{1,3}_wd2"],
    "mobilenet_v2": [
        "keras/mobilenet_v2_{1.0,0.35,0.5,0.75,1.3,1.4}_{224,192,160,128,96}",
        "timm/mobilenetv2_100.ra_in1k",
        "timm/mobilenetv2_140.ra_in1k",
        "timm/mobilenetv2_050.lamb_in1k",
        "slim/mobilenet_v2_{1.0,0.75,0.5,0.35}_{224,192,160,128,96}",
        "slim/mobilenet_v2_{1.3,1.4}_224",
        "tf2cv/mobilenetv2{,b}_w1",
        "torchvision/mobilenet_v2.{v1,v2}",
    ],
}


@functools.cache
def _sets() -> dict[str, WeightSet]:
    sets: dict[str, WeightSet] = {}
    for publisher in (keras, timm, slim, imgclsmob, torchvision, others):
        for weight_set in publisher.sets():
            if weight_set.tag in sets:
                raise ValueError(f"A weight set is listed once. Received a second one named {weight_set.tag!r}.")
            sets[weight_set.tag] = weight_set
    return sets


def list_weights(network: str | None = None) -> list[WeightSet]:
    """Lists the released weight sets, of one network or of all.

    Args:
        network: Registry id, such as `"inception_v3"`; None: all networks.

    Raises:
        ValueError: No network has that name.
    """
    if network is not None:
        get_entry(network)
    return [weight_set for weight_set in _sets().values() if network in (None, weight_set.network)]


def has_tag(tag: Any) -> bool:
    """Whether a released weight set has that tag."""
    return isinstance(tag, str) and tag in _sets()


def get_weights(tag: str) -> WeightSet:
    """Returns the weight set of a tag such as `"timm/inception_v4.tf_in1k"`.

    Raises:
        ValueError: No weight set has that tag; the message suggests the nearest one.
    """
    if has_tag(tag):
        return _sets()[tag]
    close = difflib.get_close_matches(str(tag), _sets(), n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        "weights must be None, 'imagenet', the tag of a released weight set (list_weights() tells them) or the "
        f"path of an existing file. Received: weights={tag!r}.{hint}"
    )


def preferred_weights(network: str) -> list[WeightSet]:
    """The sets that `"imagenet"` may mean for a network, the first choice first.

    Raises:
        ValueError: None was released for the network.
    """
    if network not in PREFERRED:
        raise ValueError(
            f"weights must be None or the path of a weights file: none were released for "
            f"{get_entry(network).function_name}. Received: weights='imagenet'."
        )
    return [_sets()[tag] for pattern in PREFERRED[network] for tag in expand(pattern)]
