"""Searches and ensembles of estimators on clusters, through joblib's backends: the same numbers as at home."""

from __future__ import annotations

import importlib.util

import pytest
from alone import run_alone

SETUP = """
import os
import joblib
import numpy as np
import rnncore
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from rnncore.sklearn import RNNClassifier, SequenceScaler

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 6))
y = np.where(X.sum(axis=1) > 0, "up", "down")
rnn = RNNClassifier(units=4, epochs=2, random_state=0)

def trained():
    search = GridSearchCV(make_pipeline(SequenceScaler(), rnn), {"rnnclassifier__units": [2, 4]}, cv=2).fit(X, y)
    bag = BaggingClassifier(rnn, n_estimators=3, random_state=0).fit(X, y)
    return search.cv_results_["mean_test_score"], search.predict_proba(X), bag.predict_proba(X)

def there():
    places = joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(4))
    assert os.getpid() not in places
    return trained()

here = trained()
"""
DASK = """
from dask.distributed import Client, LocalCluster

with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
    assert set(client.run(rnncore.get_num_threads).values()) == {1}
    with joblib.parallel_config("dask"):
        found = there()
"""
RAY = """
import ray
from ray.util.joblib import register_ray

ray.init(num_cpus=2, include_dashboard=False)
register_ray()
with joblib.parallel_config("ray", n_jobs=2):
    found = there()
ray.shutdown()
"""
SAME = """
assert all(np.array_equal(a, b) for a, b in zip(here, found, strict=True))
print("the same")
"""


@pytest.mark.parametrize(("package", "cluster"), [("distributed", DASK), ("ray", RAY)], ids=["dask", "ray"])
def test_the_same_numbers_on_a_cluster(package: str, cluster: str) -> None:
    if importlib.util.find_spec(package) is None:
        size = " (CI goes without it, for it is large)" if package == "ray" else ""
        pytest.skip(f"{package} is not installed{size}")
    # Ray gives its workers the least priority, which on a busy machine is none.
    assert "the same" in run_alone(SETUP + cluster + SAME, seconds=240, RAY_worker_niceness="0")
