"""Log-signatures as features for scikit-learn.

Trusts scikit-learn's own checks, ``log_sig`` on one path at a time, and the area under a polygon.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from processes import RunPython
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import logsig_codegen as lg
from logsig_codegen._features import FeatureOptions
from logsig_codegen.sklearn import LogSignature

N, LENGTH, CHANNELS = 5, 9, 2
NAMES = ["price", "volume"]
LENGTHS = [9, 4, 7, 1, 6]

# With the reason.
ELSEWHERE = {"check_array_api_input": "a switch of SciPy has to be set before it is imported: in a process of its own"}


def paths(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((N, LENGTH, CHANNELS)).cumsum(axis=1)


def ragged() -> list[np.ndarray]:
    return [path[:length] for path, length in zip(paths(), LENGTHS, strict=True)]


def long_frame() -> pd.DataFrame:
    """One table, names of paths in no order, the path of each row in a column."""
    return pd.concat(
        [
            pd.DataFrame(path, columns=NAMES).assign(id=name, t=np.arange(len(path)) ** 2)
            for path, name in zip(ragged(), ["d", "a", "e", "c", "b"], strict=True)
        ],
        ignore_index=True,
    )


# -- scikit-learn's own checks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        LogSignature(),
        LogSignature(3, time_aug=True, lead_lag=True, basepoint=True, missing="linear", windows=[(1, 1)]),
        LogSignature(intervals=((0, 0),), method=1, missing=None, dtype="float32"),
    ],
    ids=["default", "transforms", "intervals"],
)
def test_the_checks_of_scikit_learn(estimator: LogSignature) -> None:
    found = estimator_checks.check_estimator(estimator, on_skip=None, on_fail="raise")
    passed = {one["check_name"] for one in found if one["status"] == "passed"}
    assert {one["check_name"] for one in found} - passed <= ELSEWHERE.keys()
    assert len(passed) > 35


@pytest.mark.slow
def test_its_checks_with_other_arrays(run_python: RunPython) -> None:
    code = """
        from sklearn.utils.estimator_checks import check_estimator
        from logsig_codegen.sklearn import LogSignature

        print({one["status"] for one in check_estimator(LogSignature(), on_skip=None, on_fail=None)})
    """
    assert run_python(code, env={"SCIPY_ARRAY_API": "1"}).stdout == "{'passed'}\n"


@pytest.mark.parametrize(
    "check",
    [
        "check_dataframe_column_names_consistency",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
    ],
)
@pytest.mark.filterwarnings("ignore:X .* feature names, but LogSignature was fitted")
def test_its_checks_of_names_and_frames(check: str) -> None:
    getattr(estimator_checks, check)("LogSignature", LogSignature())


# -- what goes in -----------------------------------------------------------------------------------------------------


def rows(values: Any, **options: Any) -> Any:
    return LogSignature(**options).fit_transform(values)


def frames(kind: Callable[..., Any] = pd.DataFrame) -> list[Any]:
    return [kind(dict(zip(NAMES, path.T, strict=True))) for path in ragged()]


INPUTS: dict[str, Callable[[], Any]] = {
    "arrays": ragged,
    "an array of arrays": lambda: np.fromiter(ragged(), dtype=object),
    "pandas": frames,
    "polars": lambda: frames(pl.DataFrame),
    "two levels": lambda: pd.concat(frames(), keys=list("daecb")),
    "three levels": lambda: pd.concat(frames(), keys=[(1, "d"), (1, "a"), (2, "d"), (0, "c"), (2, "b")]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_paths_of_different_lengths_come_in_many_ways(name: str) -> None:
    found = rows(INPUTS[name](), degree=3)
    for row, path in zip(np.asarray(found), ragged(), strict=True):
        assert np.array_equal(row, lg.log_sig(path, 3, method=2))


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_long_frame(kind: str) -> None:
    frame = long_frame().drop(columns="t")
    found = rows(frame if kind == "pandas" else pl.DataFrame(frame.to_dict("list")), column_id="id")
    for row, path in zip(np.asarray(found), ragged(), strict=True):
        assert np.array_equal(row, lg.log_sig(path, 2, method=2))
    if kind == "pandas":
        assert list(found.index) == ["d", "a", "e", "c", "b"]
        assert list(found.columns) == ["price", "volume", "[price,volume]"]
        assert found.index.name == "id"
        for same in (frame.set_index("id"), frame.astype({"id": "category"})):
            assert_frame_equal(rows(same, column_id="id"), found, check_index_type=False, check_categorical=False)


def test_arrays_lists_and_tables_of_one_channel() -> None:
    values = paths()
    expected = lg.log_sig(values, 3, method=2)
    assert np.array_equal(rows(values, degree=3), expected)
    assert np.array_equal(rows(values.tolist(), degree=3), expected)
    assert np.array_equal(rows(list(values), degree=3), expected)
    flat = values[..., 0]
    expected = lg.log_sig(values[..., :1], 3, method=2, time_aug=True)
    assert np.array_equal(rows(flat, degree=3, time_aug=True), expected)
    assert np.array_equal(rows(list(flat), degree=3, time_aug=True), expected)
    different = [path[:, 0] for path in ragged()]
    assert np.array_equal(rows(different, time_aug=True), rows([path[:, :1] for path in ragged()], time_aug=True))


def test_types_of_numbers() -> None:
    values = paths()
    assert rows(values.astype(np.float32)).dtype == np.float32
    assert rows((10 * values).astype(int)).dtype == np.float64
    assert rows([values[0].astype(np.float32), values[1]]).dtype == np.float64
    assert rows(values, dtype=np.float32).dtype == np.float32
    assert rows(values.astype(np.float32), dtype="float64").dtype == np.float64


# -- parts, times, transforms -----------------------------------------------------------------------------------------


def test_windows_are_as_many_as_fit_the_longest_path_that_was_fitted() -> None:
    model = LogSignature(windows=[(4, 2), (9, 9)]).fit(ragged())
    found = model.transform(ragged())
    assert found.shape == (N, (3 + 1) * 3)
    for row, path in zip(found, ragged(), strict=True):
        parts = [path[begin : begin + size] for begin, size in ((0, 4), (2, 4), (4, 4), (0, 9))]
        expected = [lg.log_sig(part, 2, method=2) if len(part) else np.zeros(3) for part in parts]
        np.testing.assert_allclose(row, np.concatenate(expected), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "options",
    [
        {"windows": (4, 2)},
        {"windows": [(3.0, 2.0), (5.0, 1.0)], "times": np.arange(12.0)},
        {"intervals": [[1, 3], [2, 8]]},
        {"intervals": [[0.5, 2.25], [3.0, 8.0]], "times": np.arange(12.0)},
        {"windows": (5, 3), "lead_lag": True, "time_aug": True, "basepoint": True},
        {"time_aug": True, "missing": "linear", "basepoint": True},
    ],
    ids=str,
)
def test_a_row_depends_on_its_path_only(options: dict[str, Any]) -> None:
    model = LogSignature(**options).fit(ragged())
    together = model.transform(ragged())
    assert together.shape[1] == len(model.get_feature_names_out())
    longer = np.concatenate([paths()[0], paths(4)[0][:3] + paths()[0][-1]])
    for index, path in enumerate(ragged()):
        assert np.array_equal(model.transform([path])[0], together[index])
        assert np.array_equal(model.transform([longer, path])[1], together[index])


def test_windows_of_time_end_where_their_path_does() -> None:
    times = np.arange(9.0)
    model = LogSignature(windows=(3.0, 2.0), times=times).fit(ragged())
    found = model.transform(ragged()).reshape(N, -1, 3)
    assert found.shape[1] == 3
    for row, path in zip(found, ragged(), strict=True):
        for window, begin in zip(row, (0, 2, 4), strict=True):
            part = path[begin : begin + 4]
            expected = lg.log_sig(part, 2, method=2) if len(part) else np.zeros(3)
            np.testing.assert_allclose(window, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["column", "level", "index", "dates", "zone", "polars"])
def test_times_in_data_frames(kind: str) -> None:
    """Rows in any order; in seconds, for dates."""
    moments = [np.arange(len(path)) ** 2 * 1.0 for path in ragged()]
    expected = lg.log_sig(ragged(), 2, method=2, time_aug=True, times=moments)
    given, name = [], "index" if kind == "index" else "t"
    for path, at in zip(ragged(), moments, strict=True):
        values: Any = at
        if kind in ("dates", "zone"):
            values = pd.to_datetime(at, unit="s", utc=kind == "zone")
        frame = pd.DataFrame(path, columns=NAMES).assign(t=values)[["price", "t", "volume"]].iloc[::-1]
        if kind in ("level", "index"):
            frame = frame.set_index("t").rename_axis(index="t" if kind == "level" else None)
        given.append(pl.DataFrame(frame.to_dict("list")) if kind == "polars" else frame)
    model = LogSignature(times=name, time_aug=True).fit(given)
    np.testing.assert_allclose(model.transform(given), expected, rtol=0, atol=1e-13)
    assert list(model.get_feature_names_out()[:3]) == ["price", "volume", name]


def test_a_long_frame_with_times() -> None:
    frame = long_frame().sample(frac=1, random_state=0)
    found = rows(frame, column_id="id", times="t", time_aug=True)
    for name, row in found.iterrows():
        one = frame[frame["id"] == name].sort_values("t")
        expected = lg.log_sig(one[NAMES].to_numpy(), 2, method=2, time_aug=True, times=one["t"].to_numpy())
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-13)


def test_times_of_arrays_are_a_channel_or_the_same_for_all() -> None:
    values, grid = paths(), np.arange(LENGTH) ** 1.5
    expected = lg.log_sig(values, 2, method=2, time_aug=True, times=grid)
    assert np.array_equal(rows(values, time_aug=True, times=grid), expected)
    with_grid = np.concatenate([values, np.broadcast_to(grid[:, None], (N, LENGTH, 1))], -1)
    assert np.array_equal(rows(with_grid, time_aug=True, times=-1), expected)
    assert np.array_equal(rows(list(with_grid), time_aug=True, times=2), expected)


def test_a_path_may_begin_with_a_point_of_zeros() -> None:
    values = paths()
    values[:, :2, 0] = np.nan
    filled = lg.transform_path(values, missing="forward")
    expected = lg.log_sig(np.concatenate([np.zeros((N, 1, CHANNELS)), filled], 1), 2, method=2, time_aug=True)
    assert np.array_equal(rows(values, basepoint=True, missing="forward", time_aug=True), expected)
    times = np.array([1.0, 3.0, 4.0])
    expected = lg.log_sig(np.array([[0.0], [5.0], [6.0], [2.0]]), 2, method=2, time_aug=True, times=[-1, 1, 3, 4])
    found = rows(np.array([[5.0, 6.0, 2.0]]), basepoint=True, times=times, time_aug=True)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-14)


def test_missing_values() -> None:
    values = paths()
    values[1, 3, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        rows(values)
    assert np.isnan(rows(values, missing=None)[1, 0]) == np.isnan(lg.log_sig(values, 2)[1, 0])
    for missing in ("linear", "forward"):
        options: dict[str, Any] = {"missing": missing, "count_observations": True}
        assert np.array_equal(rows(values, **options), lg.log_sig(values, 2, method=2, **options))


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_say_what_the_features_are() -> None:
    model = LogSignature().set_output(transform="pandas")
    found = model.fit_transform([pd.DataFrame(path, columns=NAMES) for path in paths()])
    for path, displacement, area in zip(paths(), found["volume"], found["[price,volume]"], strict=True):
        x, y = (path - path[0]).T
        assert displacement == pytest.approx(y[-1])
        assert area == pytest.approx(0.5 * float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"degree": 3}, ["a", "b", "[a,b]", "[a,[a,b]]", "[[a,b],b]"]),
        ({"degree": 3, "method": 1}, ["a", "b", "a,b", "a,a,b", "a,b,b"]),
        ({"method": 0}, ["a", "b", "a,a", "a,b", "b,a", "b,b"]),
        ({"degree": 1, "lead_lag": True, "time_aug": True}, ["a_lag", "b_lag", "a_lead", "b_lead", "time"]),
        ({"degree": 1, "missing": "linear", "count_observations": True}, ["a", "b", "a_count", "b_count"]),
        ({"windows": [(5, 4), (9, 1)], "degree": 1}, ["w0:a", "w0:b", "w1:a", "w1:b", "w2:a", "w2:b"]),
        ({"intervals": [[0, 3], [2, 4]], "degree": 1}, ["w0:a", "w0:b", "w1:a", "w1:b"]),
    ],
    ids=str,
)
def test_names_of_features(options: dict[str, Any], expected: list[str]) -> None:
    model = LogSignature(**options).fit(paths())
    assert list(model.get_feature_names_out(["a", "b"])) == expected
    assert model.transform(paths()).shape == (N, len(expected))


def test_what_is_known_of_the_input() -> None:
    model = LogSignature().fit(frames())
    assert (model.n_channels_in_, model.n_features_in_, list(model.feature_names_in_)) == (2, 2, NAMES)
    model.fit(paths())
    assert (model.n_channels_in_, model.n_features_in_, hasattr(model, "feature_names_in_")) == (2, 2, False)
    assert list(model.get_feature_names_out()) == ["x0", "x1", "[x0,x1]"]
    model.fit(paths()[..., 0])
    assert (model.n_channels_in_, model.n_features_in_) == (1, LENGTH)
    assert list(model.get_feature_names_out()) == ["x0"]


# -- in scikit-learn --------------------------------------------------------------------------------------------------


def test_parameters_are_those_that_all_transformers_have() -> None:
    own, shared = (inspect.signature(one.__init__).parameters for one in (LogSignature, FeatureOptions))
    assert {name: one for name, one in own.items() if name != "column_id"} == dict(shared)


def test_copies_and_pickles() -> None:
    values = [frame.assign(t=range(len(frame))) for frame in frames()]
    model = LogSignature(3, windows=(4.0, 2.0), times="t").fit(values)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).transform(values), model.transform(values))
    assert clone(model).get_params() == model.get_params()


def turns(count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Noisy arcs of different lengths that turn left or right: their areas have different signs."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    found = []
    for label in labels:
        angles = np.linspace(0, np.pi, generator.integers(8, 20)) * (1 if label else -1)
        arc = np.stack([np.cos(angles), np.sin(angles)], -1) * generator.choice([-1, 1])
        found.append(arc + 0.05 * generator.standard_normal(arc.shape))
    return found, labels


def test_the_degree_is_chosen_by_cross_validation() -> None:
    values, labels = turns(40)
    model = make_pipeline(LogSignature(), StandardScaler(), LogisticRegression())
    search = GridSearchCV(model, {"logsignature__degree": [1, 2]}, cv=4).fit(values, labels)
    assert search.best_params_ == {"logsignature__degree": 2}
    assert search.cv_results_["mean_test_score"][0] < 0.8 < 0.95 < search.best_score_
    assert list(search.best_estimator_[:-1].get_feature_names_out()) == ["x0", "x1", "[x0,x1]"]
    both = make_union(LogSignature(1), LogSignature(2, windows=(4, 2)))
    assert cross_val_score(make_pipeline(both, StandardScaler(), LogisticRegression()), values, labels).mean() > 0.9


@pytest.mark.slow
def test_cross_validation_in_several_processes() -> None:
    values, labels = turns(40)
    model = make_pipeline(LogSignature(windows=(4, 2)), StandardScaler(), LogisticRegression())
    serial, parallel = (cross_val_score(model, values, labels, cv=4, n_jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(serial, parallel)


def test_several_transformers_side_by_side() -> None:
    union = make_union(LogSignature(1), LogSignature(2, time_aug=True)).set_output(transform="pandas")
    found = union.fit_transform([pd.DataFrame(path, columns=NAMES) for path in paths()])
    assert list(found.columns[:3]) == ["logsignature-1__price", "logsignature-1__volume", "logsignature-2__price"]
    assert found.shape == (N, 2 + 6)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (paths, {"degree": 0}, "degree: expected at least 1"),
        (paths, {"windows": (10, 1)}, "at least one that fits"),
        (paths, {"windows": (4, 1), "intervals": [[0, 1]]}, "windows: expected None with intervals"),
        (paths, {"intervals": np.zeros((N, 1, 2), int)}, r"intervals: expected shape \(W, 2\)"),
        (paths, {"intervals": [[0, LENGTH]]}, r"intervals\[0\]: expected"),
        (paths, {"method": 4}, "method: expected 0, 1, 2 or 3"),
        (paths, {"missing": "guess"}, "missing: expected"),
        (paths, {"count_observations": True}, "count_observations: expected missing="),
        (paths, {"dtype": "int32"}, "dtype: expected None, float32 or float64"),
        (paths, {"times": "t"}, "times: a name needs data frames"),
        (paths, {"times": 2}, "times: expected a channel from -2 to 1"),
        (paths, {"times": np.arange(3.0)}, r"times: expected shape \(9,\)"),
        (frames, {"times": "t"}, r"times: expected one of \['price', 'volume', None\], got 't'"),
        (long_frame, {"column_id": "path"}, "column_id: expected one of"),
        (lambda: paths()[0, 0], {}, "Expected 2D array, got 1D"),
        (lambda: [paths()[0], paths()[1, :, :1]], {}, "X: expected as many channels in all paths, got 1 and 2"),
        (lambda: [frames()[0], frames()[1][NAMES[::-1]]], {}, "feature names should match"),
    ],
)
def test_what_is_wrong_is_said(values: Callable[[], Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LogSignature(**options).fit(values())


def test_transform_takes_what_was_fitted() -> None:
    with pytest.raises(ValueError, match="X has 1 features, but LogSignature is expecting 2"):
        LogSignature().fit(paths()).transform(paths()[..., :1])
    with pytest.raises(ValueError, match="expected paths of 2 channels, as in fit, got 1"):
        LogSignature().fit(paths()).transform(paths()[:, :2, 0])
    with pytest.raises(ValueError, match="input_features should have length"):
        LogSignature().fit(paths()).get_feature_names_out(["a"])
