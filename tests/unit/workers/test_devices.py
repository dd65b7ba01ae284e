from imgq_workers.devices import gpu_uuid


def whole(index: int) -> str:
    return f"uuid-{index}"


def test_a_whole_gpu_is_known_by_its_uuid() -> None:
    for visible in ([""], ["3", "1"], ["GPU-8f", "GPU-9a"]):
        assert gpu_uuid(1, visible, whole) == "uuid-1"


def test_parts_of_one_gpu_are_known_by_their_own_names() -> None:
    visible = ["MIG-aaaa", "MIG-bbbb"]

    assert [gpu_uuid(index, visible, whole) for index in (0, 1)] == visible
