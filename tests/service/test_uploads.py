"""Uploads: what goes in comes out, once; and a thousand ways of being wrong end with a 4xx and nothing left behind."""

from __future__ import annotations

import gzip
import hashlib
import random
import resource
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import nrrd
import numpy as np
import pytest

from porefield.service.client import Client, ServiceError

from .conftest import plan
from .server import service, told
from .test_security import small_nifti

BROKEN = 1000


def test_an_upload_is_described_and_used(client: Client, tmp_path: Path) -> None:
    (tmp_path / "labels.nii.gz").write_bytes(scan())
    use = client.upload(tmp_path / "labels.nii.gz")
    sha = use.removeprefix("upload:")
    assert sha == hashlib.sha256(scan()).hexdigest()
    info = client.request("GET", f"/anatomies/{sha}").json()
    assert info["shape"] == [16, 14, 12]
    assert info["spacing_mm"] == pytest.approx([1, 1, 1])
    assert (info["labels"], info["filename"]) == (3, "labels.nii.gz")
    label_map = {
        "path": use,
        "names": {1: "liver", 2: "lesion"},
        "background": "fat",
        "tissue_of": {"lesion": "tumour"},
    }
    job = client.submit("plan", plan(anatomy={"label_map": label_map})).wait(120)
    assert job.summary["targets"]["lesion"]["coverage"]["reversible"] > 0
    image: Any = nib.load(job.nifti("zone", tmp_path))
    np.testing.assert_allclose(image.affine[:3, 3] % 1, [0.5, 0.5, 0.5], atol=1e-6)
    assert str(tmp_path.parent) not in str(job.results)  # the server's own paths stay its own


def test_the_same_bytes_are_kept_once(client: Client, tmp_path: Path) -> None:
    for name in ("one.nii.gz", "two.nii.gz"):
        (tmp_path / name).write_bytes(small_nifti())
    assert client.upload(tmp_path / "one.nii.gz") == client.upload(tmp_path / "two.nii.gz")
    data = small_nifti()
    answer = httpx.post(f"{client.url}/v1/anatomies?filename=three", content=data)
    assert answer.status_code == 200
    assert answer.json()["filename"] == "one.nii.gz"
    wrong = httpx.post(f"{client.url}/v1/anatomies", content=data, headers={"X-Content-SHA256": "0" * 64})
    assert wrong.status_code == 422


def test_uploads_are_listed_by_pages_and_forgotten(client: Client, tmp_path: Path) -> None:
    uses = []
    for value in range(3):
        image = nib.Nifti1Image(np.full((3, 4, 5), value, np.uint8), np.eye(4))
        image.header.set_xyzt_units("mm")
        image.set_sform(np.eye(4), code=1)
        (tmp_path / "x.nii").write_bytes(image.to_bytes())
        uses.append(client.upload(tmp_path / "x.nii"))
    seen: list[str] = []
    url = "/anatomies?limit=2"
    while url:
        page = client.request("GET", url).json()
        seen += [a["use"] for a in page["anatomies"]]
        url = next((link["href"].split("/v1")[1] for link in page["links"] if link["rel"] == "next"), "")
    assert set(uses) <= set(seen)
    assert len(seen) == len(set(seen))
    sha = uses[0].removeprefix("upload:")
    client.request("DELETE", f"/anatomies/{sha}")
    with pytest.raises(ServiceError) as gone:
        client.request("GET", f"/anatomies/{sha}")
    assert gone.value.status == 404
    scan = plan(anatomy={"label_map": {"path": uses[0], "names": {0: "liver"}, "background": "fat"}})
    with pytest.raises(ServiceError, match="an upload of this key"):
        client.submit("plan", scan)


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 415, "NIfTI"),
        (b"hello, this is no image" * 50, 415, "NIfTI"),
        (small_nifti()[:-9], 422, "cut off"),
        (gzip.compress(b"\0" * 60_000_000), 413, "unpacked"),
        (b"x" * 2_100_000, 413, "bytes"),
    ],
)
def test_wrong_uploads_say_what_is_wrong(client: Client, data: bytes, status: int, words: str) -> None:
    answer = httpx.post(f"{client.url}/v1/anatomies", content=data)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_an_nrrd_may_not_name_another_file(client: Client, tmp_path: Path) -> None:
    header = {"space": "right-anterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3)}
    nrrd.write(str(tmp_path / "x.nrrd"), np.ones((4, 5, 6), np.uint8), header)
    assert client.upload(tmp_path / "x.nrrd").startswith("upload:")
    text = (tmp_path / "x.nrrd").read_bytes().split(b"\n\n")[0] + b"\ndata file: /etc/passwd\n\n"
    answer = httpx.post(f"{client.url}/v1/anatomies", content=text)
    assert answer.status_code == 422
    assert "names another file" in answer.json()["detail"]


@pytest.mark.slow
def test_a_thousand_broken_files_are_refused_and_leave_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(11)
    nifti, packed = gzip.decompress(small_nifti()), small_nifti()
    with service(tmp_path / "data", workers=0) as url, httpx.Client(base_url=f"{url}/v1") as http:
        http.post("/anatomies", content=packed)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        statuses: dict[int, int] = {}
        for _ in range(BROKEN):
            answer = http.post("/anatomies", content=broken(rng, nifti, packed))
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.is_error:
                assert answer.headers["content-type"] == "application/problem+json", answer.text
                assert str(tmp_path) not in answer.text
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert set(statuses) <= {200, 201, 413, 415, 422}, statuses  # flipped bits may leave a valid image
    assert sum(n for status, n in statuses.items() if status >= 400) > BROKEN // 2
    assert (after - before) * 1024 < 300_000_000
    left = [p for p in (tmp_path / "data" / "anatomies").rglob("*") if p.name.startswith(".upload")]
    assert left == []
    assert "Traceback" not in told() + "".join(capfd.readouterr())


def broken(rng: random.Random, nifti: bytes, packed: bytes) -> bytes:
    """A file cut off, with flipped bits, with a wild header, or that swells when it is unpacked."""
    kind = rng.randrange(6)
    if kind == 0:
        return packed[: rng.randrange(len(packed))]
    if kind == 1:
        return nifti[: rng.randrange(len(nifti))]
    if kind == 2:
        return flipped(rng, packed, 3)
    if kind == 3:
        head = flipped(rng, nifti[:352], 4)
        return gzip.compress(head + nifti[352:])
    if kind == 4:
        wild = bytearray(nifti)
        for k in range(3):
            wild[42 + 2 * k : 44 + 2 * k] = rng.choice((0, -1, 1, 30_000, 32_767)).to_bytes(2, "little", signed=True)
        return bytes(wild)
    return gzip.compress(nifti[:352] + b"\0" * rng.choice((10, 30_000_000)))


def flipped(rng: random.Random, data: bytes, bits: int) -> bytes:
    changed = bytearray(data)
    for _ in range(bits):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def scan() -> bytes:
    """The phantom of the plan as a label map: liver 1, lesion 2, and a corner without a label."""
    x, y, z = np.meshgrid(np.arange(-7.5, 8), np.arange(0.5, 14), np.arange(100.5, 112), indexing="ij")
    data = np.where(x**2 + (y - 7) ** 2 + (z - 106) ** 2 < 9, 2, 1).astype(np.uint8)
    data[:2, :2, :2] = 0
    affine = np.eye(4)
    affine[:3, 3] = (-7.5, 0.5, 100.5)
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    return gzip.compress(image.to_bytes(), mtime=0)
