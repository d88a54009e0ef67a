import numpy as np
import pytest
import torch

from nas.evaluation.scores import accuracy, class_ious, extremes, mean_iou, mean_iou_present, scores

# 10 rows of class 0, 5 of class 1, none of class 2, which is predicted twice, none of class 3, which is never predicted
CONFUSION = torch.tensor([[7, 2, 1, 0], [1, 3, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_a_case_worked_out_by_hand() -> None:
    ious = [7 / (10 + 8 - 7), 3 / (5 + 5 - 3), float("nan"), float("nan")]
    assert class_ious(CONFUSION).tolist() == pytest.approx(ious, nan_ok=True)
    assert mean_iou(CONFUSION) == pytest.approx((7 / 11 + 3 / 7 + 1 + 1) / 4)
    assert mean_iou_present(CONFUSION) == pytest.approx((7 / 11 + 3 / 7) / 2)
    assert accuracy(CONFUSION) == pytest.approx(10 / 15)


def test_perfect_predictions() -> None:
    perfect = torch.diag(torch.tensor([5, 0, 2]))
    assert mean_iou(perfect) == mean_iou_present(perfect) == extremes("mean_iou", 3)[1] == 1.0


def test_cross_entropy_is_measured_from_that_of_a_guess() -> None:
    assert extremes("cross_entropy", 4) == (pytest.approx(np.log(4)), 0.0)
    assert extremes("accuracy", 4) == (0.0, 1.0)


def test_of_no_rows_nothing_is_known() -> None:
    found = scores(("mean_iou", "accuracy", "cross_entropy"), torch.zeros(2, 2, dtype=torch.int64), 0.0)
    assert [*found] == ["mean_iou", "accuracy", "cross_entropy"]
    assert np.isnan([*found.values()]).all()


def test_metrics_are_found_by_name() -> None:
    found = scores(("mean_iou", "accuracy", "cross_entropy"), CONFUSION, 30.0)
    assert found == {"mean_iou": mean_iou(CONFUSION), "accuracy": accuracy(CONFUSION), "cross_entropy": 2.0}
