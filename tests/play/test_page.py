"""The page of the playground, in a real browser, with a server on this machine behind it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from layerkit.play.catalogue import state_for
from layerkit.play.server import Server
from tests.play.conftest import PHONE

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Page

pytestmark = pytest.mark.browser


OVERLAPPING = """() => {
    const boxes = [...document.querySelectorAll("#layers button")]
        .map(button => button.getBoundingClientRect());
    const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
        && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    return boxes.some((a, i) => boxes.slice(i + 1).some(b => over(a, b)));
}"""
"""Whether a button of the network lies over another."""


@contextmanager
def serving(start: dict[str, Any] | None = None) -> Iterator[str]:
    """Serve the page as `layerkit play` does; its address."""
    server = Server(start)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.address
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def play(page: Page, address: str) -> Page:
    """The page, ready, with the circles."""
    return opened(page, address)


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    return page


def of(page: Page, expression: str) -> Any:
    """A value of the page's one object."""
    return page.evaluate(f"layerkit.{expression}")


def wait(page: Page, condition: str) -> None:
    page.wait_for_function(f"layerkit.{condition}")


def drop(page: Page, text: str, encoding: str = "utf-8") -> None:
    data = text.encode(encoding)
    file: FilePayload = {"name": "own.csv", "mimeType": "text/csv", "buffer": data}
    page.set_input_files("#file", file)


def types(page: Page) -> list[str]:
    return [layer["type"] for layer in of(page, "state.network.body.layers")]


def test_it_trains_when_played_and_rests_when_paused(play: Page) -> None:
    play.keyboard.press("Space")
    wait(play, "frame.step > 50")
    play.keyboard.press("Space")
    play.wait_for_function("document.getElementById('said').textContent.includes('Loss')")
    step, epoch = of(play, "frame.step"), of(play, "frame.epoch")
    assert not of(play, "running")
    assert play.inner_text("#steps") == f"{step:,}"
    play.wait_for_timeout(400)  # the tab that looks inside reads the step anew
    assert play.inner_text("#said").startswith(f"Epoch {epoch}. Loss")
    assert of(play, "frame.train_loss") < 0.69
    play.keyboard.press("s")
    wait(play, f"frame.step === {step + 1}")
    play.keyboard.press("e")
    wait(play, f"frame.epoch === {epoch + 1}")
    play.keyboard.press("r")
    wait(play, "frame.step === 0")


def test_layers_are_added_moved_changed_and_removed(play: Page) -> None:
    play.get_by_role("button", name="Add a layer after layer 1", exact=True).click()
    play.fill("#picker input", "batchnorm")
    play.keyboard.press("Enter")
    wait(play, "layers.length === 6")
    assert types(play)[:3] == ["Dense", "BatchNorm", "Tanh"]
    assert of(play, "selected") == "body.layers.1"
    play.get_by_role("button", name="move →").click()
    wait(play, "state.network.body.layers[2].type === 'BatchNorm'")
    play.get_by_label("Type of the layer").select_option("Dropout")
    wait(play, "state.network.body.layers[2].type === 'Dropout'")
    play.get_by_label("rate", exact=True).fill("0.25")
    play.keyboard.press("Tab")
    wait(play, "state.network.body.layers[2].rate === 0.25")
    play.get_by_role("button", name="Remove", exact=True).click()
    wait(play, "layers.length === 5")
    play.get_by_role("button", name="One unit more in layer 1").click()
    wait(play, "state.network.body.layers[0].units === 9")


def test_a_network_that_is_long_built_says_so(play: Page) -> None:
    play.evaluate("""() => {
        const { connection } = layerkit, send = connection.send.bind(connection);
        connection.send = async message => {
            if (message.do === "new") await new Promise(go => { window.go = go; });
            return send(message);
        };
    }""")
    play.get_by_role("button", name="One unit more in layer 1").click()
    said = "getComputedStyle(document.querySelector('#network[aria-busy=true] h2'), '::after')"
    play.wait_for_function(f"{said}.visibility === 'visible'")
    assert play.evaluate(f"{said}.content") == '"building …"'
    play.evaluate("go()")
    wait(play, "state.network.body.layers[0].units === 9")
    play.wait_for_selector("#network[aria-busy=false]")


def test_a_network_that_does_not_fit_is_told_and_undone(play: Page) -> None:
    play.get_by_role("button", name="One unit more in layer 5").click()
    alert = play.locator("#refused")
    alert.get_by_text("the network has 3 outputs, but circles has 2 classes").wait_for()
    assert play.get_by_role("button", name="Play").is_disabled()
    alert.get_by_role("button", name="Undo").click()
    assert alert.is_hidden()
    assert play.get_by_role("button", name="Play").is_enabled()


def test_optimizer_schedule_and_loss_come_from_the_catalogue(play: Page) -> None:
    play.keyboard.press("s")
    wait(play, "frame.step === 1")
    play.get_by_label("Optimizer").select_option("SGD")
    wait(play, "state.optimizer.type === 'SGD'")
    play.get_by_label("lr", exact=True).fill("0.5")
    play.keyboard.press("Tab")
    wait(play, "state.optimizer.lr === 0.5")
    play.get_by_label("Schedule").select_option("CosineSchedule")
    wait(play, "state.optimizer.schedules?.lr.type === 'CosineSchedule'")
    assert of(play, "frame.step") == 1  # the training goes on
    assert play.inner_text("#rate dd") == "0.5"
    play.get_by_label("Loss", exact=True).select_option("MeanSquaredError")
    play.get_by_text("circles has classes, but MeanSquaredError judges numbers").wait_for()


def test_a_rate_with_a_comma_is_that_rate_and_a_word_is_none(play: Page) -> None:
    rate = play.get_by_label("lr", exact=True)
    rate.click(click_count=3)
    play.keyboard.type("0,25")
    play.keyboard.press("Tab")
    wait(play, "state.optimizer.lr === 0.25")
    rate.click(click_count=3)
    play.keyboard.type("e")
    play.keyboard.press("Tab")
    play.get_by_text("lr: should be a number").wait_for()
    assert rate.input_value() == "0.25"
    assert of(play, "draft.optimizer.lr") == 0.25


def test_the_layer_whose_name_is_typed_is_added(play: Page) -> None:
    for typed, meant in (("relu", "ReLU"), ("drop", "Dropout")):
        play.get_by_role("button", name="Add a layer after layer 1", exact=True).click()
        play.fill("#picker input", typed)
        assert play.locator("#picker .best b").inner_text() == meant
        play.keyboard.press("Enter")
        wait(play, f"state.network.body.layers[1].type === '{meant}'")


def test_the_two_columns_of_a_map_change_places(play: Page) -> None:
    rows = (f"{i % 23},{i * i % 17},{i % 5},{i % 2}" for i in range(60))
    drop(play, "\n".join(["a,b,c,y", *rows]))
    wait(play, "state.data.path")
    right, up = (play.get_by_label(f"Feature {way}") for way in ("to the right", "upwards"))
    right.select_option("b")
    wait(play, "data.columns.join() === '1,0'")
    assert (right.input_value(), up.input_value()) == ("1", "0")


def test_a_digit_is_drawn_and_recognised(play: Page) -> None:
    play.get_by_role("radio", name="digits").click()
    wait(play, "data.kind === 'images'")
    for _ in range(8):
        play.keyboard.press("e")
    wait(play, "frame.epoch === 8")
    box = play.locator(".pad canvas").bounding_box()
    assert box
    play.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.2 * box["height"])
    play.mouse.down()
    play.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.8 * box["height"], steps=9)
    play.mouse.up()
    play.locator(".bars .best").get_by_text("1").wait_for()


@pytest.mark.parametrize(("name", "kind"), [("blobs", "plane"), ("sine", "curve")])
def test_data_bring_a_network_that_suits_them(play: Page, name: str, kind: str) -> None:
    play.get_by_role("radio", name=name).click()
    wait(play, f"data.name === '{name}'")
    assert of(play, "data.kind") == kind
    play.get_by_role("radio", name="circles").click()
    wait(play, "data.name === 'circles'")
    play.get_by_role("button", name="One unit more in layer 1").click()
    wait(play, "state.network.body.layers[0].units === 9")
    play.get_by_role("radio", name=name).click()
    wait(play, f"data.name === '{name}'")
    assert of(play, "state.network.body.layers[0].units") == 9


def test_the_space_bar_plays_after_a_click_on_something_else(play: Page) -> None:
    play.get_by_role("radio", name="moons").click()
    wait(play, "data.name === 'moons'")
    play.keyboard.press("Space")
    wait(play, "frame.step > 5")
    play.get_by_role("button", name="Pause").click()
    play.keyboard.press("Space")
    wait(play, "running === true")
    play.keyboard.press("Space")
    wait(play, "running === false")
    play.get_by_role("radio", name="moons").focus()
    play.keyboard.press("ArrowLeft")
    wait(play, "data.name === 'circles'")
    play.keyboard.press("Space")
    assert not of(play, "running")


def test_a_table_of_ones_own_is_taken_or_refused(play: Page) -> None:
    lines = ["a,b,kind", *(f"{i},{i * i},{'even' if i % 2 == 0 else 'odd'}" for i in range(60))]
    drop(play, "\n".join(lines))
    wait(play, "state.data.path")
    assert of(play, "data.classes") == ["even", "odd"]
    play.get_by_label("predict").select_option("b")
    wait(play, "data.target === 'number'")
    drop(play, "a,b\n1\n")
    play.get_by_text("own.csv: line 2").wait_for()


def test_the_columns_of_a_table_are_changed_one_by_one(play: Page) -> None:
    lines = [
        "a,b,kind",
        *(f"{i % 3},{'uv'[i % 2]},{'even' if i % 2 else 'odd'}" for i in range(60)),
    ]
    drop(play, "\n".join(lines))
    wait(play, "state.data.path")
    play.evaluate("layerkit.selectLayer('body.layers.0')")
    play.get_by_label("Kind of a").select_option("Category")
    wait(play, "state.network.body.layers[0].columns[0].categories?.length === 3")
    play.get_by_text("options of b").click()
    play.get_by_label("embedding").last.fill("2")
    play.keyboard.press("Tab")
    wait(play, "state.network.body.layers[0].columns[1].embedding === 2")
    assert play.get_by_label("embedding").last.is_visible()
    play.get_by_label("Kind of b").select_option("Number")
    play.locator("#refused").get_by_text("'u'").wait_for()


def test_a_small_table_is_in_the_link_and_a_large_one_is_said_not_to_be(
    play: Page, address: str
) -> None:
    lines = ["a,b,kind", *(f"{i},{i * i},{'even' if i % 2 == 0 else 'odd'}" for i in range(60))]
    drop(play, "\n".join(lines))
    play.get_by_text("The link holds own.csv: whoever has it can read the table.").wait_for()
    play.get_by_role("button", name="One unit more in layer 2").click()
    wait(play, "state.network.body.layers[1].units === 17")
    play.wait_for_timeout(300)  # the address is written after the state
    state, link = of(play, "state"), play.evaluate("location.hash")
    play.goto("about:blank")
    opened(play, address + link)
    wait(play, "data.name === 'own.csv'")
    assert json.dumps(of(play, "state")) == json.dumps(state)
    assert play.get_by_label("predict").input_value() == "kind"

    drop(play, "\n".join([*lines[:-1], *(f"{i},{i * 0.37:.9f},odd" for i in range(30_000))]))
    play.get_by_text("The link does not hold own.csv, which is too large").wait_for()
    link = play.evaluate("location.hash")
    assert "without the table" in play.locator("#link").inner_text()
    play.goto("about:blank")
    opened(play, address + link)
    play.locator("#refused").get_by_text("own.csv").wait_for()
    drop(play, "\n".join(lines))  # what the link is of is built then
    wait(play, "data.name === 'own.csv'")
    play.locator("#refused").wait_for(state="hidden")


def test_a_table_is_told_of_and_what_cannot_be_predicted_is_not_chosen(play: Page) -> None:
    rows = [f"2024-01-{i % 28 + 1:02d},k{i},{'weiß' if i % 2 else 'grün'}" for i in range(60)]
    text = "\n".join(["day,nr,farbe", *rows])
    drop(play, text, "cp1252")
    wait(play, "state.data.encoding === 'cp1252'")
    assert of(play, "data.classes") == ["grün", "weiß"]
    assert 'Left out: "nr"' in play.inner_text("#data-told")
    play.get_by_label("predict").select_option("day")
    play.get_by_text("the column day: it can't be predicted: it is a date").wait_for()
    assert play.get_by_label("predict").input_value() == "farbe"


def test_a_net_that_diverges_stops_and_says_where(play: Page) -> None:
    state = of(play, "catalogue.data.sine")
    state["optimizer"] = {"type": "SGD", "lr": 500.0}
    play.evaluate("s => layerkit.change(state => Object.assign(state, s))", state)
    wait(play, "data.kind === 'curve'")
    play.keyboard.press("Space")
    play.locator("#diverged").get_by_text("The training has diverged.").wait_for()
    wait(play, "running === false")
    play.get_by_role("button", name="Back to the start").last.click()
    wait(play, "frame.step === 0")
    assert play.locator("#diverged").is_hidden()


def test_a_link_holds_the_state(play: Page, address: str) -> None:
    play.get_by_role("radio", name="moons").click()
    wait(play, "data.name === 'moons'")
    play.get_by_label("seed", exact=True).fill("7")
    play.keyboard.press("Tab")
    wait(play, "state.training.seed === 7")
    play.wait_for_function("location.hash.length > 20")
    state, link = of(play, "state"), play.evaluate("location.hash")
    play.goto("about:blank")
    opened(play, address + link)
    wait(play, "data.name === 'moons'")
    assert json.dumps(of(play, "state")) == json.dumps(state)


def test_a_file_may_leave_out_what_has_defaults(page: Page) -> None:
    nodes = {"out": {"type": "Dense", "units": 10}}
    body = {"type": "Graph", "nodes": nodes, "edges": ["input -> out -> output"]}
    network = {"body": body, "loss": {"type": "SoftmaxCrossEntropy"}, "shape": [64]}
    with serving({"network": network, "optimizer": {"type": "Adam"}}) as address:
        opened(page, address)
        page.keyboard.press("e")
        wait(page, "frame.epoch === 1")
        assert page.get_by_label("batch size").get_attribute("aria-valuetext") == "128"
        assert page.get_by_role("button", name="Layer 1: Dense").is_visible()


BRANCHES = {
    "type": "Graph",
    "nodes": {
        "left": {"type": "Dense", "units": 8},
        "relu": {"type": "ReLU"},
        "right": {"type": "Dense", "units": 8},
        "sum": {"type": "Add"},
        "both": {"type": "Join"},
        "out": {"type": "Dense", "units": 2},
    },
    "edges": [
        "input -> left -> relu",
        "input -> right",
        "relu, right -> sum",
        "sum, input -> both -> out -> output",
    ],
}


@pytest.mark.parametrize("width", [1280, PHONE["width"]])
def test_a_graph_is_drawn_by_levels_with_its_connections(page: Page, width: int) -> None:
    start = state_for("spiral")
    start["network"]["body"] = BRANCHES
    page.set_viewport_size({"width": width, "height": 900})
    with serving(start) as address:
        opened(page, address)
        heads = page.locator("#layers .layer[data-key]")
        assert heads.evaluate_all("each => each.map(head => head.ariaLabel.split(',')[0])") == [
            *("Layer 1: Dense", "Layer 2: Dense", "Layer 3: ReLU"),
            *("Layer 4: Add of relu and right", "Layer 5: Join of sum and input", "Layer 6: Dense"),
        ]
        said = str(page.get_attribute("#net", "aria-label"))
        assert "Dense of input with 8 outputs, ReLU of left with 8 outputs" in said
        boxes = [head.bounding_box() for head in heads.all()]
        left, right, relu, added, join, out = [(round(b["x"]), b["y"]) for b in boxes if b]
        assert left[0] == right[0] < relu[0] < added[0] < join[0] < out[0]
        assert left[1] + 60 < right[1]
        place = heads.nth(1).evaluate("""head => {
            head.scrollIntoView({ block: "center" });
            const { left, right, bottom } = head.getBoundingClientRect();
            return [(left + right) / 2, bottom + 20];
        }""")
        page.mouse.move(*place)
        assert of(page, "hovered") == {"address": "body.nodes.right", "unit": 0}
        page.mouse.click(*place)
        assert of(page, "selected") == "body.nodes.right"
        page.keyboard.press("e")
        wait(page, "frame.epoch === 1")
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_keyboard_reaches_layers_and_neurons(play: Page) -> None:
    play.locator("#layers .layer[data-key]").first.focus()
    play.keyboard.press("ArrowRight")
    play.keyboard.press("ArrowDown")
    assert of(play, "hovered") == {"address": "body.layers.1", "unit": 0}
    assert play.inner_text("#said").startswith("Tanh, unit 0")
    play.keyboard.press("Enter")
    assert of(play, "selected") == "body.layers.1"
    play.keyboard.press("Escape")
    assert of(play, "selected") is None


@pytest.mark.parametrize("width", [320, PHONE["width"], 768, 1024, 1366])
def test_nothing_overflows(play: Page, width: int) -> None:
    play.set_viewport_size({"width": width, "height": 844})
    for name in ("circles", "digits"):
        play.get_by_role("radio", name=name).click()
        wait(play, f"data.name === '{name}'")
        assert play.evaluate("document.documentElement.scrollWidth") == width
        assert not play.evaluate(OVERLAPPING)


def test_everything_that_acts_has_a_name(play: Page) -> None:
    play.locator("#layers .layer[data-key]").first.click()
    nameless = play.evaluate("""[...document.querySelectorAll("button, input, select, canvas")]
        .filter(each => each.checkVisibility() && !each.closest("[aria-hidden]"))
        .filter(each => !(each.ariaLabel || each.innerText || each.textContent.trim()
            || [...(each.labels || [])].some(label => label.textContent.trim())))
        .map(each => each.outerHTML)""")
    assert nameless == []


def test_embedded_there_is_the_picture_and_the_play_button(page: Page, address: str) -> None:
    opened(page, address + "?embed&theme=dark")
    assert page.get_by_role("button").all_inner_texts() == ["Play"]
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button").click()
    wait(page, "frame.step > 5")


def test_dark_mode_is_kept(play: Page) -> None:
    assert play.evaluate("document.documentElement.dataset.theme") == "light"
    play.get_by_role("button", name="Dark mode").click()
    play.reload()
    play.wait_for_selector("html[data-ready]")
    assert play.evaluate("document.documentElement.dataset.theme") == "dark"
