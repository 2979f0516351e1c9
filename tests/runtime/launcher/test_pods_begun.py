"""What a pod is begun with, and what is left of one that does not begin."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.pods import running, spec
from spin_runtime.launcher.pods.cluster import Cluster, ClusterGone
from spin_runtime.launcher.rules import PodRules, Rules, Start

PODS = PodRules("", "", "", "", "", "image", "", 0.0, "", 1, 0, (1_900_000_000, 1_900_000_002))
START = Start(("true",), {}, "/work", "/box", "none")


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    own = os.geteuid()
    return Rules("kubernetes", "none", (), str(tmp_path), 1 << 20, 100, 0, None, own, os.getegid(), own, None, PODS)


@pytest.mark.timeout(20)
def test_users_of_pods_that_are_used_up_are_said(rules: Rules) -> None:
    folders, taken = Folders(rules), list[int]()
    for _ in range(3):
        taken.append(running.user_of(rules, folders, START, taken)[0])
    assert sorted(taken) == [1_900_000_000, 1_900_000_001, 1_900_000_002]
    with pytest.raises(ValueError, match="every user of SPIN_KERNEL_UIDS"):
        running.user_of(rules, folders, START, taken)
    assert running.user_of(replace(rules, pods=replace(PODS, uids=(5, 6))), folders, START, [5, 5, 7]) == (6, 6)


class SlowToAnswer(Cluster):
    """It makes pods, and who asked is not told."""

    def __init__(self, then: BaseException) -> None:
        self.there, self._then = set[str](), then

    async def make_pod(self, body: Any) -> str:
        self.there.add(body["metadata"]["name"])
        raise self._then

    async def remove_pod(self, name: str) -> None:
        self.there.remove(name)


@pytest.mark.parametrize("then", [ClusterGone("it does not answer"), asyncio.CancelledError()], ids=["no answer", "cancelled"])
async def test_a_pod_that_was_made_without_an_answer_goes(rules: Rules, then: BaseException) -> None:
    cluster, given = SlowToAnswer(then), spec.Given("label", None, None)
    with pytest.raises(type(then)):
        await running.started(cluster, rules, given, spec.Kernel(spec.name_of(given), START, (5, 5), spec.CLOSED), b"", 2)
    assert cluster.there == set()
