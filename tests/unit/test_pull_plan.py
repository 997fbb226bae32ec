"""What a download still lacks, counted while another one goes on."""

from __future__ import annotations

from pathlib import Path

from chatglm_slim_llm.checkpoint.hub import HubFile, PullPlan

FILE = HubFile("pytorch_model.bin", 10, "d" * 64)


class OvertakenPlan(PullPlan):
    """Another download finishes the file while this one looks for its part."""

    def partial(self, file: HubFile) -> Path:
        path = super().partial(file)
        if path.exists():
            path.replace(self.target(file))
        return path


def plan_of(kind: type[PullPlan], folder: Path) -> PullPlan:
    lock = folder / "lock"
    return kind(
        repo_id="a/b", revision="main", commit="c", files=(FILE,), in_cache=False, folder=folder, blobs=None, lock=lock
    )


def test_missing_is_what_neither_a_file_nor_its_part_has(tmp_path):
    plan = plan_of(PullPlan, tmp_path)
    assert plan.missing_bytes == 10
    plan.partial(FILE).write_bytes(bytes(4))
    assert plan.missing_bytes == 6
    plan.partial(FILE).replace(plan.target(FILE))
    assert plan.missing_bytes == 0


def test_a_file_that_another_download_finishes_meanwhile_is_there(tmp_path):
    plan = plan_of(PullPlan, tmp_path)
    plan.partial(FILE).write_bytes(bytes(4))
    assert plan_of(OvertakenPlan, tmp_path).missing_bytes == 0
    assert plan.target(FILE).exists()
