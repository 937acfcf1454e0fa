"""The README's pictures: the life that they show, and both taken."""

import random
import struct
from typing import Any

import pytest

from app.simulator.answers import compose
from app.simulator.faults import FaultPlan, FaultScript
from app.simulator.models import MODELS as SIMULATED
from loadtests.pictures.__main__ import take
from loadtests.pictures.clients import wanted
from loadtests.pictures.drawing.dashboard import WIDTH
from loadtests.pictures.page import QUESTION
from loadtests.pictures.weather import AWAY, MODELS, RATIONS, weather
from tests.support.browser import NAMES
from tests.support.shared import SharedResources
from tests.support.tools import tool


def test_groq_is_well_but_for_two_whiles_and_answers_in_many_ways() -> None:
    def dealt(progress: float) -> list[Any]:
        plan = FaultPlan()
        plan.load(FaultScript.model_validate({"faults": weather(progress, random.Random(0))}))
        return [plan.next(model) for model in MODELS for _ in range(300)]

    seen = {progress: {each.status for each in dealt(progress)} for progress in (0.1, sum(AWAY) / 2, sum(RATIONS) / 2)}
    assert list(seen.values()) == [{None}, {None, 503}, {None, 429}]
    answers = [each for each in dealt(0.1) if each.first_token_delay_s]
    assert len(answers) > 0.95 * 900
    assert len({each.words for each in answers}) > 10


def test_clients_come_and_go() -> None:
    crowd = [wanted(part / 100) for part in range(101)]
    assert crowd[0] < 0.25 * max(crowd)
    assert 0 < crowd[-1] < 0.6 * max(crowd)


def test_the_page_s_answer_needs_no_rare_font() -> None:
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    for model in SIMULATED.values():
        assert max("".join(compose(body, model, 0).content)) < "\u2100"


@pytest.mark.needs("chromium")
def test_both_pictures_are_taken_of_what_really_ran(shared: SharedResources) -> None:
    for names in (NAMES, ("prometheus",)):
        tool(*names)
    folder = shared.open_folder("pictures")
    said: list[str] = []
    take(folder, folder / "taken", seconds=3, say=said.append)
    taken = {each.name: each.read_bytes() for each in (folder / "taken").iterdir()}
    assert {name: struct.unpack(">I", png[16:20])[0] for name, png in taken.items()} == {
        "page.png": 1770,
        "overview.png": WIDTH * 1.5,
    }
    assert all(10_000 < len(png) < 300_000 for png in taken.values()), said
