"""The prediction service: landmarks as predict gives them, plain refusals for everything else, and its limits."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("python_multipart")
pytest.importorskip("prometheus_client")
httpx = pytest.importorskip("httpx")

from starlette.testclient import TestClient  # noqa: E402

from brule import LandmarkDetector  # noqa: E402
from brule.data.synthetic import synthetic_faces  # noqa: E402
from brule.errors import ConfigError  # noqa: E402
from brule.web.service.app import create_service  # noqa: E402
from brule.web.service.limits import Limits  # noqa: E402

FACES = synthetic_faces(12, size=48)
BOX = (4.0, 6.0, 40.0, 44.0)
TOKEN = "a-token-of-twenty-characters"
ADDRESS = "http://127.0.0.1:8422"
PNG = {"content-type": "image/png"}


def encoded(image: np.ndarray | Image.Image, **options: Any) -> bytes:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    tiny = {"crop__image_size": 32, "encoder__width": 8, "encoder__stacks": 1, "encoder__depth": 2, "encoder__stem_stride": 2}
    settings = {**tiny, "batch_size": 4, "iterations": 2, "time_limit": 0, "preview_every": 0, "quiet": True, "device": "cpu"}
    return LandmarkDetector(**settings).fit(FACES.images, shapes=FACES.points[:10])


@pytest.fixture(scope="module")
def client(detector: LandmarkDetector) -> TestClient:
    return TestClient(create_service(detector), base_url=ADDRESS)


def points(answer: Any, image: int = 0) -> torch.Tensor:
    assert answer.status_code == 200, answer.text
    return torch.tensor(answer.json()["images"][image]["objects"][0]["points"])


def test_an_image_gives_what_predict_gives(client: TestClient, detector: LandmarkDetector) -> None:
    answer = client.post("/predict", content=encoded(FACES.images[0]), headers=PNG)
    expected = detector.predict(FACES.images[0])
    torch.testing.assert_close(points(answer), expected.points[0], atol=1e-3, rtol=0)
    (image,) = answer.json()["images"]
    assert (image["width"], image["height"], answer.json()["landmarks"]) == (48, 48, 68)
    assert image["objects"][0]["flagged"] is False
    assert image["objects"][0]["score"] == pytest.approx(float(expected.score[0]), abs=1e-3)


def test_a_form_and_json_give_a_batch_in_order(client: TestClient, detector: LandmarkDetector) -> None:
    files = [("images", (f"{k}.png", encoded(FACES.images[k]), "image/png")) for k in range(3)]
    data = [{"data": base64.b64encode(encoded(FACES.images[k])).decode(), "name": f"{k}.png"} for k in range(3)]
    expected = detector.predict(FACES.images[:3]).points
    for answer in (client.post("/predict", files=files), client.post("/predict", json={"images": data})):
        assert [image["name"] for image in answer.json()["images"]] == ["0.png", "1.png", "2.png"]
        for k in range(3):
            torch.testing.assert_close(points(answer, k), expected[k], atol=1e-3, rtol=0)


def test_boxes_and_options_reach_predict(client: TestClient, detector: LandmarkDetector) -> None:
    content = encoded(FACES.images[0])
    expected = detector.predict(FACES.images[0], boxes=BOX, tta=2).points[0]
    box = ",".join(str(value) for value in BOX)
    torch.testing.assert_close(
        points(client.post(f"/predict?box={box}&tta=2", content=content, headers=PNG)), expected, atol=1e-3, rtol=0
    )
    body = {"images": [{"data": base64.b64encode(content).decode(), "box": BOX}]}
    torch.testing.assert_close(points(client.post("/predict?tta=2", json=body)), expected, atol=1e-3, rtol=0)


def test_orientation_is_applied(client: TestClient, detector: LandmarkDetector) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show it
    image = Image.fromarray(FACES.images[0][:, :40])
    answer = client.post("/predict", content=encoded(image, exif=exif), headers=PNG)
    assert (answer.json()["images"][0]["width"], answer.json()["images"][0]["height"]) == (48, 40)
    upright = image.transpose(Image.Transpose.ROTATE_270)
    torch.testing.assert_close(points(answer), detector.predict(upright).points[0], atol=1e-3, rtol=0)


GARBAGE: dict[str, tuple[int, Callable[[], dict[str, Any]]]] = {
    "no image": (400, lambda: {"content": b"GIF89a garbage", "headers": PNG}),
    "cut short": (400, lambda: {"content": encoded(FACES.images[0])[:300], "headers": PNG}),
    "empty": (400, lambda: {"content": b"", "headers": PNG}),
    "no type": (415, lambda: {"content": encoded(FACES.images[0])}),
    "another type": (415, lambda: {"content": b"<a/>", "headers": {"content-type": "text/xml"}}),
    "no json": (400, lambda: {"content": b"{", "headers": {"content-type": "application/json"}}),
    "other json": (400, lambda: {"json": {"picture": 1}}),
    "deep json": (400, lambda: {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}),
    "no images": (400, lambda: {"json": {"images": []}}),
    "no base64": (400, lambda: {"json": {"images": [{"data": "!!!"}]}}),
    "odd box": (400, lambda: {"json": {"images": [{"data": "", "box": [5, 5, 1, 9]}]}}),
    "infinite box": (400, lambda: {"params": {"box": "0,0,inf,9"}, "content": encoded(FACES.images[0]), "headers": PNG}),
    "no form": (400, lambda: {"content": b"junk", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    "no boundary": (400, lambda: {"content": b"junk", "headers": {"content-type": "multipart/form-data"}}),
    "form without files": (400, lambda: {"files": {"a": (None, "text")}}),
    "one bad of three": (400, lambda: {"files": [("i", ("a", encoded(FACES.images[0]))), ("i", ("b", b"junk"))]}),
    "unknown option": (400, lambda: {"params": {"model": "x"}, "content": encoded(FACES.images[0]), "headers": PNG}),
    "tta too high": (400, lambda: {"params": {"tta": "7"}, "content": encoded(FACES.images[0]), "headers": PNG}),
    "refine no number": (400, lambda: {"params": {"refine": "²"}, "content": encoded(FACES.images[0]), "headers": PNG}),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_refused_with_a_reason(client: TestClient, kind: str) -> None:
    status, request = GARBAGE[kind]
    answer = client.post("/predict", **request())
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"code", "message"} and len(answer.json()["error"]["message"]) > 10


def test_the_message_names_the_bad_image_of_a_batch(client: TestClient) -> None:
    files = [("i", ("fine.png", encoded(FACES.images[0]))), ("i", ("broken.png", b"junk"))]
    assert "image 1 (broken.png): not an image" in client.post("/predict", files=files).json()["error"]["message"]


@pytest.fixture
def small(detector: LandmarkDetector) -> TestClient:
    limits = Limits(megabytes=0.1, megapixels=0.006, batch=2)
    return TestClient(create_service(detector, limits=limits), base_url=ADDRESS)


def test_bytes_pixels_and_images_have_limits(small: TestClient) -> None:
    fine = encoded(FACES.images[0])  # 2304 pixels
    assert small.post("/predict", content=fine, headers=PNG).status_code == 200
    for request in (
        {"content": b"x" * 110_000, "headers": PNG},
        {"content": iter([b"x" * 60_000] * 2), "headers": PNG},  # without a length
        {"content": encoded(Image.new("RGB", (100, 100))), "headers": PNG},
        {"files": [("i", ("a", fine))] * 3},
        {"json": {"images": [{"data": base64.b64encode(fine).decode()}] * 3}},
    ):
        answer = small.post("/predict", **request)  # type: ignore[arg-type]
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "too_large"
    # All but the first, whose length alone is too much: that is refused before it is a request for landmarks.
    assert 'brule_requests_total{code="413"} 4.0' in small.get("/metrics").text


def test_pixels_are_counted_over_the_whole_request(detector: LandmarkDetector) -> None:
    small = TestClient(create_service(detector, limits=Limits(megapixels=0.004)), base_url=ADDRESS)
    one = ("i", ("a", encoded(FACES.images[0])))
    assert small.post("/predict", files=[one]).status_code == 200
    assert small.post("/predict", files=[one, one]).status_code == 413


def test_more_requests_than_may_wait_are_sent_away(detector: LandmarkDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is computed, one waits, the third is refused at once."""
    goes_on, inside = threading.Event(), threading.Semaphore(0)
    predict = LandmarkDetector.predict

    def slow(self: LandmarkDetector, *given: Any, **named: Any) -> Any:
        inside.release()
        assert goes_on.wait(60)
        return predict(self, *given, **named)

    monkeypatch.setattr(LandmarkDetector, "predict", slow)
    with TestClient(create_service(detector, limits=Limits(waiting=1)), base_url=ADDRESS) as client:
        codes: list[int] = []

        def ask() -> None:
            codes.append(client.post("/predict", content=encoded(FACES.images[0]), headers=PNG).status_code)

        asking = [threading.Thread(target=ask) for _ in range(2)]
        asking[0].start()
        assert inside.acquire(timeout=60)
        asking[1].start()
        while "brule_requests_waiting 2.0" not in client.get("/metrics").text:
            pass
        refused = client.post("/predict", content=encoded(FACES.images[0]), headers=PNG)
        assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
        goes_on.set()
        for thread in asking:
            thread.join(60)
    assert codes == [200, 200]


def test_a_fault_of_ours_is_a_plain_answer(detector: LandmarkDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: LandmarkDetector, *given: Any, **named: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(LandmarkDetector, "predict", broken)
    client = TestClient(create_service(detector), base_url=ADDRESS)
    answer = client.post("/predict", content=encoded(FACES.images[0]), headers=PNG)
    assert answer.status_code == 500 and "secret" not in answer.text
    assert 'brule_requests_total{code="500"} 1.0' in client.get("/metrics").text


def test_counts_are_shown(detector: LandmarkDetector) -> None:
    client = TestClient(create_service(detector), base_url=ADDRESS)
    client.post("/predict", files=[("i", ("a", encoded(FACES.images[k]))) for k in range(3)])
    client.post("/predict", content=b"junk", headers=PNG)
    text = client.get("/metrics").text
    for line in (
        'brule_requests_total{code="200"} 1.0',
        'brule_requests_total{code="400"} 1.0',
        "brule_images_total 3.0",
        "brule_objects_total 3.0",
        "brule_request_seconds_count 2.0",
        "brule_predict_seconds_count 1.0",
        "brule_requests_waiting 0.0",
    ):
        assert line in text
    assert client.get("/health").json()["status"] == "ok"


def test_the_description_covers_every_address_and_every_refusal(client: TestClient) -> None:
    about = client.get("/openapi.json").json()
    assert set(about["paths"]) == {"/predict", "/health", "/metrics"}
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(about)))
    assert references <= set(about["components"]["schemas"])
    codes = {str(status) for status, _ in GARBAGE.values()} | {"413", "503", "401", "403"}
    assert codes <= set(about["paths"]["/predict"]["post"]["responses"])


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert "POST /predict" in page.text and "tta" in page.text
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) == {"style.css", "openapi.json"}
    assert client.get("/style.css").headers["content-type"].startswith("text/css")
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers", [{"origin": "http://elsewhere.org"}, {"host": "elsewhere.org"}, {"sec-fetch-site": "cross-site"}]
)
def test_other_web_pages_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/predict", content=encoded(FACES.images[0]), headers=PNG | headers).status_code == 403


@pytest.mark.parametrize("path", ["/metrics", "/", "/openapi.json"])
def test_elsewhere_a_token_is_needed(detector: LandmarkDetector, path: str) -> None:
    client = TestClient(create_service(detector, host="10.0.0.1", token=TOKEN), base_url="http://10.0.0.1:8422")
    assert client.get("/health").status_code == 200
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}, {"authorization": TOKEN}):
        refused = client.get(path, headers=wrong)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert client.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("limits", [{"batch": 0}, {"megabytes": -1}, {"waiting": -1}, {"seconds": 0}])
def test_senseless_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(limits))}: expected more than 0"):
        Limits(**limits)


@pytest.fixture
def saved(detector: LandmarkDetector, tmp_path: Path) -> Path:
    detector.save(tmp_path / "detector")
    return tmp_path / "detector"


@pytest.fixture
def server(saved: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "brule", "serve", str(saved), "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "BRULE_TOKEN"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving at http://127.0.0.1:"), line
    yield process, line.split()[2]
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_command_serves_and_ends_cleanly(server: tuple[subprocess.Popen[str], str], detector: LandmarkDetector) -> None:
    process, address = server
    answer = httpx.post(f"{address}predict", content=encoded(FACES.images[0]), headers=PNG, timeout=60, trust_env=False)
    torch.testing.assert_close(points(answer), detector.predict(FACES.images[0]).points[0], atol=1e-2, rtol=0)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-batch", "0"], "batch: expected"),
        (["--token-file", "nowhere"], "can't be read"),
        (["--port", "99999"], "can't listen"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message(
    saved: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from brule.cli import main

    assert main(["serve", str(saved), *words]) == 2
    assert said in capsys.readouterr().err
