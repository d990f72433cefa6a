"""Exact counts of every published form of every network: trainable weights, all weights, multiply-adds.

Each row: registry id, builder arguments, trainable weights, all weights (with the moving statistics), multiply-adds.
None: no figure is known for it. The figures are those of the reference implementations, not of this package.
"""

import math
from functools import cache

import keras
import pytest

import keras_inception as ki
from keras_inception import numerics
from keras_inception.graph import multiply_adds

INCEPTION_V1 = [
    ("inception_v1", {}, 6_617_624, 6_632_184, 1_498_376_192),
    ("inception_v1", {"classes": 1001}, 6_618_649, 6_633_209, 1_498_377_216),
    ("inception_v1", {"include_top": False}, 5_592_624, 5_607_184, None),
    ("inception_v1", {"numerics": numerics.TORCHVISION_GOOGLENET}, 6_624_904, 6_639_464, 1_498_376_192),
    ("inception_v1", {"numerics": numerics.TORCHVISION_GOOGLENET, "aux_heads": True}, 13_004_888, 13_019_960, None),
    ("inception_v1", {"variant": "bn"}, 6_998_552, None, 1_582_671_872),
    ("inception_v1", {"variant": "bn", "numerics": numerics.KERAS}, 7_005_832, None, 1_582_671_872),
    ("inception_v1", {"variant": "paper"}, 6_998_552, 6_998_552, 1_582_671_872),
    ("inception_v1", {"variant": "paper", "aux_heads": True}, 13_378_280, 13_378_280, 1_591_044_096),
    ("inception_v1", {"variant": "paper", "naive": True}, 97_526_008, 97_526_008, None),
]

INCEPTION_V2 = [
    ("inception_v2", {}, 11_178_336, 11_198_112, 1_934_857_216),
    ("inception_v2", {"classes": 1001}, 11_179_361, 11_199_137, 1_934_858_240),
    ("inception_v2", {"include_top": False, "input_shape": (224, 224, 3)}, 10_153_336, 10_173_112, 1_933_833_216),
    (
        "inception_v2",
        {"include_top": False, "input_shape": (224, 224, 3), "stem": "full"},
        10_160_032,
        10_179_936,
        2_017_827_840,
    ),
    ("inception_v2", {"variant": "paper", "numerics": numerics.BN_INCEPTION}, 11_295_240, 11_315_272, 2_032_600_064),
    ("inception_v2", {"variant": "paper", "numerics": numerics.KERAS}, 11_285_224, None, 2_032_600_064),
]

INCEPTION_V3 = [
    ("inception_v3", {}, 23_817_352, 23_851_784, 5_713_216_096),
    ("inception_v3", {"classes": 1001}, 23_819_401, 23_853_833, None),
    ("inception_v3", {"include_top": False, "input_shape": (299, 299, 3)}, 21_768_352, 21_802_784, 5_711_168_096),
    ("inception_v3", {"aux_heads": True}, 27_143_152, 27_179_376, 5_718_899_296),
    ("inception_v3", {"aux_heads": True, "classes": 1001}, 27_145_970, 27_182_194, 5_718_902_112),
    ("inception_v3", {"numerics": numerics.TORCHVISION_INCEPTION}, 23_834_568, 23_869_000, 5_713_216_096),
    (
        "inception_v3",
        {"numerics": numerics.TORCHVISION_INCEPTION, "aux_heads": True},
        27_161_264,
        27_197_488,
        5_713_216_096 + 5_683_200,
    ),
]

INCEPTION_V4 = [
    ("inception_v4", {}, 42_648_232, 42_711_400, 12_253_974_624),
    ("inception_v4", {"classes": 1001}, 42_649_769, 42_712_937, None),
    ("inception_v4", {"aux_heads": True}, 46_006_800, 46_071_760, 12_260_477_024),
    ("inception_v4", {"aux_heads": True, "classes": 1001}, 46_009_106, 46_074_066, None),
    ("inception_v4", {"numerics": numerics.KERAS}, 42_679_816, 42_742_984, 12_253_974_624),
]

# facenet and facenet-pytorch publish embeddings without a classifier: "+" adds the classifier that a row has on top.
INCEPTION_RESNET = [
    ("inception_resnet_v1", {}, 23_995_624, 24_025_224, 6_308_235_360),
    ("inception_resnet_v1", {"classes": 1}, 23_482_624 + 513, 23_512_224 + 513, 6_307_723_360 + 512),
    ("inception_resnet_v1", {"classes": 8631}, 27_910_327, None, None),
    ("inception_resnet_v1", {"classes": 10575}, 28_907_599, None, None),
    (
        "inception_resnet_v1",
        {"classes": 1, "numerics": numerics.SLIM, "input_shape": (160, 160, 3)},
        23_467_824 + 513,
        23_497_424 + 513,
        1_417_662_304 + 512,
    ),
    (
        "inception_resnet_v1",
        {"classes": 1, "numerics": numerics.SLIM, "bottleneck": 128, "input_shape": (160, 160, 3)},
        22_779_312 + 129,
        22_808_144 + 129,
        1_416_974_176 + 128,
    ),
    ("inception_resnet_v1", {"bottleneck": 0}, 24_357_096, 24_385_672, None),
    ("inception_resnet_v1", {"bottleneck": 0, "numerics": numerics.SLIM}, 24_342_808, 24_371_384, None),
    ("inception_resnet_v1", {"variant": "paper"}, 22_756_328, 22_783_368, None),
    ("inception_resnet_v1", {"variant": "paper", "numerics": numerics.SLIM}, 22_742_808, 22_769_848, None),
    ("inception_resnet_v2", {}, 55_813_192, 55_873_736, 13_155_794_016),
    ("inception_resnet_v2", {"classes": 1001}, 55_814_729, 55_875_273, None),
    (
        "inception_resnet_v2",
        {"include_top": False, "input_shape": (299, 299, 3)},
        54_276_192,
        54_336_736,
        13_154_258_016,
    ),
    ("inception_resnet_v2", {"aux_heads": True}, 59_179_952, 59_242_288, 13_162_501_216),
    ("inception_resnet_v2", {"aux_heads": True, "classes": 1001}, 59_182_258, 59_244_594, None),
    ("inception_resnet_v2", {"numerics": numerics.KERAS}, 55_843_464, 55_904_008, 13_155_794_016),
]

XCEPTION = [
    ("xception", {}, 22_855_952, 22_910_480, 8_357_403_496),
    ("xception", {"numerics": numerics.TORCH}, 22_855_952, 22_910_480, 8_357_403_496),
    ("xception", {"include_top": False, "input_shape": (299, 299, 3)}, 20_806_952, 20_861_480, 8_355_355_496),
]

RESNEXT = [
    ("resnext50", {}, 25_028_904, 25_097_128, 4_230_479_872),
    ("resnext101", {}, 44_177_704, 44_315_560, 7_969_996_800),
    pytest.param(("resnext101", {"width": 8}, 88_791_336, 88_994_216, 16_414_015_488), marks=pytest.mark.proof),
    pytest.param(("resnext101", {"cardinality": 64}, 83_455_272, 83_658_152, 15_460_270_080), marks=pytest.mark.proof),
    # ResNet-50, which a cardinality of 1 gives: torchvision's resnet50
    ("resnext50", {"cardinality": 1, "width": 64}, 25_557_032, None, None),
    pytest.param(
        ("resnext101", {"width": 16}, 194_026_792, None, pytest.approx(36.16e9, abs=5e6)), marks=pytest.mark.proof
    ),
    pytest.param(
        ("resnext101", {"width": 32}, 468_530_472, None, pytest.approx(87.11e9, abs=5e6)), marks=pytest.mark.proof
    ),
]

MOBILENET_V1 = [
    ("mobilenet_v1", {}, 4_231_976, 4_253_864, 568_740_352),
    ("mobilenet_v1", {"alpha": 0.75}, 2_585_560, 2_601_976, 325_400_448),
    ("mobilenet_v1", {"alpha": 0.5}, 1_331_592, 1_342_536, 149_497_088),
    ("mobilenet_v1", {"alpha": 0.25}, 470_072, 475_544, 41_030_272),
    ("mobilenet_v1", {"input_shape": (192, 192, 3)}, 4_231_976, 4_253_864, 418_121_728),
    ("mobilenet_v1", {"input_shape": (160, 160, 3)}, 4_231_976, 4_253_864, 290_675_200),
    ("mobilenet_v1", {"input_shape": (128, 128, 3)}, 4_231_976, 4_253_864, 186_400_768),
    ("mobilenet_v1", {"classes": 1001}, 4_233_001, None, None),
    ("mobilenet_v1", {"classes": 1001, "alpha": 0.75}, 2_586_329, None, None),
    ("mobilenet_v1", {"classes": 1001, "alpha": 0.5}, 1_332_105, None, None),
    ("mobilenet_v1", {"classes": 1001, "alpha": 0.25}, 470_329, None, None),
    ("mobilenet_v1", {"include_top": False}, 3_206_976, 3_228_864, None),
]

MOBILENET_V2 = [
    ("mobilenet_v2", {"alpha": 0.35}, 1_677_128, 1_691_208, 59_285_808),
    ("mobilenet_v2", {"alpha": 0.5}, 1_968_680, 1_987_224, 97_131_840),
    ("mobilenet_v2", {"alpha": 0.75}, 2_636_424, 2_663_064, 209_069_792),
    ("mobilenet_v2", {}, 3_504_872, 3_538_984, 300_774_272),
    ("mobilenet_v2", {"alpha": 1.3}, 5_386_792, 5_431_048, 509_374_560),
    ("mobilenet_v2", {"alpha": 1.4}, 6_108_776, 6_156_712, 582_195_824),
    ("mobilenet_v2", {"classes": 1001, "alpha": 0.35}, 1_678_409, None, None),
    ("mobilenet_v2", {"classes": 1001, "alpha": 0.5}, 1_969_961, None, None),
    ("mobilenet_v2", {"classes": 1001, "alpha": 0.75}, 2_637_705, None, None),
    ("mobilenet_v2", {"classes": 1001}, 3_506_153, None, None),
    ("mobilenet_v2", {"classes": 1001, "alpha": 1.3}, 5_388_457, None, None),
    ("mobilenet_v2", {"classes": 1001, "alpha": 1.4}, 6_110_569, None, None),
    ("mobilenet_v2", {"include_top": False}, 2_223_872, 2_257_984, None),
    ("mobilenet_v2", {"variant": "pytorchcv"}, 3_504_960, None, None),
    ("mobilenet_v2", {"variant": "pytorchcv_b"}, 3_503_872, None, None),
]


def _millions(count):
    """A count of multiply-adds that is known to 10,000."""
    return pytest.approx(count * 1e6, abs=5e3)


SHUFFLENET = [  # the paper leaves the classifier out of its multiply-adds: the second summand where there is one
    ("shufflenet", {"groups": 1, "alpha": 0.5}, 534_484, None, None),
    ("shufflenet", {"groups": 1}, 1_531_936, 1_531_936 + 14_688, _millions(142.50 + 0.576)),
    ("shufflenet", {"groups": 1, "alpha": 1.5}, 2_993_032, None, None),
    ("shufflenet", {"groups": 1, "alpha": 2.0}, 4_918_744, None, None),
    ("shufflenet", {"groups": 2, "alpha": 0.5}, 644_320, None, None),
    ("shufflenet", {"groups": 2}, 1_733_848, 1_733_848 + 20_400, _millions(140.04 + 0.8)),
    ("shufflenet", {"groups": 2, "alpha": 1.5, "variant": "tensorpack"}, 3_274_180, None, None),
    ("shufflenet", {"groups": 2, "alpha": 2.0}, 5_257_896, None, None),
    ("shufflenet", {"alpha": 0.5}, 718_324, None, _millions(37.59)),
    ("shufflenet", {}, 1_865_728, 1_865_728 + 24_480, _millions(137.46)),
    ("shufflenet", {"alpha": 1.5}, 3_442_168, None, _millions(292.44)),
    ("shufflenet", {"alpha": 2.0}, 5_450_776, None, _millions(524.05)),
    ("shufflenet", {"groups": 4, "alpha": 0.5}, 778_592, None, None),
    ("shufflenet", {"groups": 4}, 1_968_344, 1_968_344 + 27_744, _millions(133.25 + 1.088)),
    ("shufflenet", {"groups": 4, "alpha": 1.5, "variant": "tensorpack"}, 3_576_796, None, None),
    ("shufflenet", {"groups": 4, "alpha": 2.0}, 5_593_528, None, None),
    ("shufflenet", {"groups": 8, "alpha": 0.5}, 1_011_448, None, _millions(40.47)),
    ("shufflenet", {"groups": 8}, 2_434_768, 2_434_768 + 39_168, _millions(138.37)),
    ("shufflenet", {"groups": 8, "alpha": 1.5}, 4_269_952, None, _millions(290.19)),
    ("shufflenet", {"groups": 8, "alpha": 2.0}, 6_522_232, None, _millions(521.94)),
    ("shufflenet", {"alpha": 0.5, "variant": "megvii"}, 717_324, None, None),
    ("shufflenet", {"variant": "megvii"}, 1_864_728, None, None),
    ("shufflenet", {"alpha": 1.5, "variant": "megvii"}, 3_441_168, None, None),
    ("shufflenet", {"alpha": 2.0, "variant": "megvii"}, 5_449_776, None, None),
    ("shufflenet", {"groups": 8, "alpha": 0.5, "variant": "megvii"}, 1_010_448, None, None),
    ("shufflenet", {"groups": 8, "variant": "megvii"}, 2_433_768, None, None),
    ("shufflenet", {"groups": 8, "alpha": 1.5, "variant": "megvii"}, 4_268_952, None, None),
    ("shufflenet", {"groups": 8, "alpha": 2.0, "variant": "megvii"}, 6_521_232, None, None),
]

TABLES = [
    *INCEPTION_V1,
    *INCEPTION_V2,
    *INCEPTION_V3,
    *INCEPTION_V4,
    *INCEPTION_RESNET,
    *XCEPTION,
    *RESNEXT,
    *MOBILENET_V1,
    *MOBILENET_V2,
    *SHUFFLENET,
]
SLIMS_BACKGROUND = 1001  # classes: one unit more in a classifier that another row counts
ROWS = [
    pytest.param(row, marks=pytest.mark.slow)
    if isinstance(row[1], dict) and row[1].get("classes") == SLIMS_BACKGROUND and row[0] != "inception_v1"
    else row
    for row in TABLES
]


def with_shapes(name: str, **arguments) -> keras.Model:
    """A network without weights: counting needs their shapes alone."""
    with keras.StatelessScope(initialize_variables=False):
        return ki.create_model(name, **arguments)


@cache
def published(name: str) -> keras.Model:
    return with_shapes(name)


def _label(row) -> str:
    name, arguments, *_ = row
    shown = (value.__class__.__name__ if key == "numerics" else value for key, value in arguments.items())
    return "-".join([name, *(f"{key}={value}" for key, value in zip(arguments, shown, strict=True))])


@pytest.mark.parametrize("row", ROWS, ids=_label)
def test_counts(row):
    name, arguments, trainable, total, macs = row
    model = published(name) if not arguments else with_shapes(name, **arguments)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == trainable
    if total is not None:
        assert model.count_params() == total
    if macs is not None:
        assert multiply_adds(model) == macs


@pytest.mark.parametrize("name", ki.list_models())
def test_the_published_form_is_the_default_and_has_the_counts_of_the_registry(name):
    entry, model = ki.get_entry(name), published(name)
    assert model.input_shape == (None, entry.input_size, entry.input_size, 3)
    assert model.output_shape == (None, 1000)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == entry.parameters
    assert multiply_adds(model) == entry.multiply_adds
