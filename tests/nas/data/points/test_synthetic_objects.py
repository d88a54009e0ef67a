import numpy as np

from nas.data.points.synthetic_objects import CLASSES, SyntheticObject


def test_the_same_number_is_the_same_object() -> None:
    first, again, other = (SyntheticObject(number).read().digest() for number in (3, 3, 8))
    assert first == again != other


def test_classes_take_turns_and_every_object_has_one_label() -> None:
    clouds = [SyntheticObject(number).read() for number in range(2 * len(CLASSES))]
    assert [cloud.labels.tolist() for cloud in clouds] == 2 * [[label] for label in range(len(CLASSES))]
    assert all(cloud.whole and len(cloud) >= 400 and np.isfinite(cloud.points).all() for cloud in clouds)
    assert all(cloud.points.dtype == np.float32 and np.abs(cloud.points).max() < 2 for cloud in clouds)


def test_surfaces_are_those_of_their_solids() -> None:
    """Of each solid something that no other has, whatever its proportions."""
    spread = {}
    for number, name in enumerate(CLASSES):
        x, y, z, _ = SyntheticObject(number).read().points.astype(np.float64).T
        height = (z - z.min()) / np.ptp(z)
        radius = np.hypot(x, y) / np.hypot(x, y).max()
        spread[name] = {"at_top": (height > 0.95).mean(), "at_bottom": (height < 0.05).mean(), "inside": radius.min()}
    assert spread["torus"]["inside"] > 0.15 > max(spread[name]["inside"] for name in ("box", "cylinder", "cone"))
    assert spread["cone"]["at_top"] < 0.02 < 0.2 < spread["cone"]["at_bottom"]
    assert min(spread[name]["at_top"] for name in ("box", "cylinder")) > 0.1
    assert spread["ellipsoid"]["at_top"] < 0.1 > spread["ellipsoid"]["at_bottom"]


def test_places_say_that_they_are_synthetic() -> None:
    assert SyntheticObject(7).place == "synthetic object 7"
