"""mig-parted's configuration file, read from what people and hostile clusters write."""

import pytest

from gpuaudit.knowledge import mig, mig_configs

A100 = mig.geometry("a100-40gb")
FILE = """
version: v1
mig-configs:
  all-disabled:
  - devices: all
    mig-enabled: false
  half:
  - device-filter: ["0x20B010DE"]
    devices: [0, 1, 2, 3]
    mig-enabled: true
    mig-devices: {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}
  - device-filter: "0x233010DE"
    devices: all
    mig-enabled: true
    mig-devices: {"1g.10gb": 7}
  wrong:
  - devices: all
    mig-enabled: true
    mig-devices: {"1g.10gb": 7}
"""


def test_a_layout_is_what_it_makes_of_a_node() -> None:
    configs = mig_configs.parse(FILE)
    assert configs is not None
    assert mig_configs.devices_of(configs["half"], A100, 4) == {"1g.5gb": 8, "2g.10gb": 4, "3g.20gb": 4}
    assert mig_configs.devices_of(configs["half"], A100, 8) is None  # nobody says what the other four are
    assert mig_configs.devices_of(configs["all-disabled"], A100, 8) == {}


def test_profiles_that_the_gpu_does_not_have_are_named() -> None:
    configs = mig_configs.parse(FILE)
    assert configs is not None
    assert mig_configs.strange_profiles(configs["wrong"], A100) == ("7 x 1g.10gb",)
    assert mig_configs.strange_profiles(configs["half"], A100) == ()  # the other filter is not this GPU's


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "mig-configs: 3",
        "mig-configs: {a: 3}",
        "mig-configs: {a: [{devices: all}]}",
        "mig-configs: {a: [{devices: some, mig-enabled: true}]}",
        "mig-configs: {a: [{devices: all, mig-enabled: true, mig-devices: [1]}]}",
        "mig-configs: {a: &x [1], b: *x}",
        "mig-configs: {a: [",
        "{" * 5000,
        "\x00",
    ],
)
def test_what_is_no_such_file_says_nothing(text: str) -> None:
    assert mig_configs.parse(text) is None
