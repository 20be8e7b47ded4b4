"""Independent clients read the maps from the running server and get the numbers of the file."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import xarray as xr

from porefield.service.client import ServiceJob

MAPS = ("zone", "field_max_v_per_m", "tissue")
BROWSER_PACKAGES = ("zarrita@0.5.1", "esbuild@0.25.0")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

# fsspec leaves its connections to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def store(solved: ServiceJob) -> str:
    return solved.results["store"]


@pytest.fixture(scope="module")
def expected(solved: ServiceJob, tmp_path_factory: pytest.TempPathFactory) -> Iterator[xr.Dataset]:
    """The same plan, run and written without the service."""
    from porefield.meshes.plan import load_plan
    from porefield.workers.run import run_plan

    from .conftest import plan

    out = run_plan(load_plan(plan())).write(tmp_path_factory.mktemp("file") / "out")
    with xr.open_zarr(str(out / "result.zarr"), chunks=None) as dataset:
        yield dataset.load()


def same(found: Any, expected: xr.Dataset, name: str) -> None:
    np.testing.assert_allclose(np.asarray(found), expected[name].to_numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", MAPS)
def test_xarray_opens_the_url(store: str, expected: xr.Dataset, name: str) -> None:
    with xr.open_zarr(store, chunks=None) as found:
        assert found[name].dims == ("x", "y", "z")
        same(found[name], expected, name)
        np.testing.assert_allclose(found["x"], expected["x"])
        assert found[name].attrs == expected[name].attrs


@pytest.mark.parametrize("name", MAPS)
def test_zarr_opens_the_url_over_fsspec(store: str, expected: xr.Dataset, name: str) -> None:
    import zarr

    group: Any = zarr.open(store, mode="r")
    same(group[name][:], expected, name)
    np.testing.assert_array_equal(group[name][3:7, 2:, ::3], expected[name].to_numpy()[3:7, 2:, ::3])


@pytest.mark.parametrize("name", MAPS)
def test_zarr_opens_the_url_over_obstore(store: str, expected: xr.Dataset, name: str) -> None:
    import zarr
    from obstore.store import HTTPStore
    from zarr.storage import ObjectStore

    http = HTTPStore.from_url(store, client_options={"allow_http": True})
    group: Any = zarr.open_group(ObjectStore(http, read_only=True), mode="r")
    same(group[name][:], expected, name)


def test_the_images_are_valid_ome_zarr(store: str, solved: ServiceJob, tmp_path: Path) -> None:
    """ngff-zarr reads the pyramid over HTTP, and its validator takes the metadata."""
    import ngff_zarr
    from ngff_zarr.validate import validate

    for name in ("zone", "field_max_v_per_m"):
        attributes = httpx.get(f"{store}/ome/{name}/zarr.json").json()["attributes"]
        validate(attributes, version="0.5")
        image: Any = ngff_zarr.from_ngff_zarr(f"{store}/ome/{name}", version="0.5").images[0]
        assert image.dims == ("z", "y", "x")
        assert image.scale == {"z": 1.0, "y": 1.0, "x": 1.0}
        assert image.translation == pytest.approx({"z": 100.5, "y": 0.5, "x": -7.5})
        with xr.open_zarr(store, chunks=None) as found:
            np.testing.assert_array_equal(np.asarray(image.data), found[name].transpose("z", "y", "x").to_numpy())


def test_ranges_etags_and_cross_origin_reading(store: str) -> None:
    url = f"{store}/zarr.json"
    whole = httpx.get(url)
    assert whole.status_code == 200
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = httpx.get(url, headers={"Range": "bytes=5-14"})
    assert (part.status_code, part.content) == (206, whole.content[5:15])
    last = httpx.get(url, headers={"Range": "bytes=-7"})
    assert (last.status_code, last.content) == (206, whole.content[-7:])
    assert httpx.get(url, headers={"Range": "bytes=999999999-"}).status_code == 416
    tag = whole.headers["ETag"]
    again = httpx.get(url, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert httpx.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert httpx.head(url).headers["Content-Length"] == str(len(whole.content))
    for probed in (".zgroup", ".zattrs", ".zmetadata", "zone/.zarray", "nothing/zarr.json"):
        assert httpx.get(f"{store}/{probed}").status_code == 404
    origin = {"Origin": "https://viewer.example"}
    answer = httpx.get(url, headers={**origin, "Range": "bytes=0-3"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    asked = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    assert httpx.options(url, headers=asked).status_code == 200


PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
import { FetchStore, open, get, root } from "./zarrita.js";
const told = {};
try {
  const store = root(new FetchStore(new URLSearchParams(location.search).get("store")));
  for (const name of ["zone", "field_max_v_per_m"]) {
    const array = await open(store.resolve(name), { kind: "array" });
    const whole = await get(array);
    told[name] = { shape: whole.shape, values: Array.from(whole.data) };
  }
} catch (error) { told.error = String(error); }
await fetch("told", { method: "POST", body: JSON.stringify(told) });
</script>"""


@pytest.mark.slow
def test_a_page_in_a_browser_reads_the_map(store: str, expected: xr.Dataset, tmp_path: Path) -> None:
    """zarrita.js in headless Chromium, from another origin."""
    chromium = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if chromium is None or shutil.which("npm") is None:
        pytest.skip("needs chromium and npm")
    bundle(tmp_path)
    (tmp_path / "page.html").write_text(PAGE)
    with serving_files(tmp_path) as (origin, posted):
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
        flags += (
            "--disable-background-networking",
            "--disable-component-update",
            f"--user-data-dir={tmp_path / 'chromium'}",
        )
        page = f"{origin}/page.html?store={store}"
        browser = subprocess.Popen([chromium, *flags, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = json.loads(posted.get(timeout=120))
        finally:
            browser.terminate()
            browser.wait(30)
    assert "error" not in told, told
    for name in ("zone", "field_max_v_per_m"):
        same(np.asarray(told[name]["values"]).reshape(told[name]["shape"]), expected, name)


def bundle(folder: Path) -> None:
    """zarrita.js and all that it needs, as one module."""
    options = ["--no-audit", "--no-fund", "--no-save", "--silent", "--prefix", str(folder)]
    installed = subprocess.run(
        ["npm", "install", *options, *BROWSER_PACKAGES], capture_output=True, text=True, timeout=180
    )
    if installed.returncode:
        pytest.skip(f"npm could not install {', '.join(BROWSER_PACKAGES)}: {installed.stderr[-300:]}")
    (folder / "entry.js").write_text('export { FetchStore, open, get, root } from "zarrita";\n')
    esbuild = folder / "node_modules" / ".bin" / "esbuild"
    arguments = ["entry.js", "--bundle", "--format=esm", "--outfile=zarrita.js"]
    subprocess.run([str(esbuild), *arguments], cwd=folder, check=True, capture_output=True, env=os.environ)


class _Files(SimpleHTTPRequestHandler):
    """Files of a folder; what is posted goes into a queue."""

    def __init__(self, *args: Any, posted: queue.Queue[bytes], **kwargs: Any) -> None:
        self._posted = posted
        super().__init__(*args, **kwargs)

    def do_POST(self) -> None:
        self._posted.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class serving_files:  # noqa: N801  (used like a function)
    """A folder over HTTP, on an origin of its own, and what is posted there."""

    def __init__(self, folder: Path) -> None:
        self._posted: queue.Queue[bytes] = queue.Queue()
        handler = partial(_Files, directory=str(folder), posted=self._posted)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> tuple[str, queue.Queue[bytes]]:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}", self._posted

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
