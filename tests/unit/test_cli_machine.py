from __future__ import annotations

from chatglm_slim_llm.cli.machine import find_processor
from chatglm_slim_llm.hosting.memory import Memory, find_memory

GIB = 2**30


def test_processor_and_its_telling_features_are_read(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor : 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n\n"
        "processor : 1\nmodel name\t: another\nflags\t\t: none\n"
    )
    found = find_processor(tmp_path / "cpuinfo")
    assert found.name == "Some CPU @ 3 GHz"
    assert found.features == ("avx2", "avx512f", "avx512_vnni")
    assert found.usable_cores >= 1


def test_an_arm_processor_has_its_features_under_another_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("Features : fp asimd asimddp i8mm bf16\n")
    assert find_processor(tmp_path / "cpuinfo").features == ("asimd", "asimddp", "i8mm", "bf16")


def test_a_system_without_proc_gets_no_guesses(tmp_path):
    assert find_processor(tmp_path / "none").features == ()
    assert find_memory(tmp_path / "none", tmp_path).available_bytes is None


def meminfo(tmp_path, total_gib, available_gib):
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: {total_gib * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {available_gib * 2**20} kB\n")
    return path


def test_memory_is_what_the_system_says(tmp_path):
    assert find_memory(meminfo(tmp_path, 32, 20), tmp_path) == Memory(32 * GIB, 20 * GIB)


def test_the_limit_of_a_container_is_the_end_of_memory(tmp_path):
    (tmp_path / "memory.max").write_text(f"{8 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{3 * GIB}\n")
    assert find_memory(meminfo(tmp_path, 32, 20), tmp_path) == Memory(8 * GIB, 5 * GIB)
    assert find_memory(meminfo(tmp_path, 32, 2), tmp_path) == Memory(8 * GIB, 2 * GIB)


def test_the_older_layout_of_container_limits_is_known(tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{4 * GIB}")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text(f"{1 * GIB}")
    assert find_memory(meminfo(tmp_path, 32, 20), tmp_path) == Memory(4 * GIB, 3 * GIB)


def test_no_limit_is_no_limit(tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    assert find_memory(meminfo(tmp_path, 32, 20), tmp_path) == Memory(32 * GIB, 20 * GIB)
