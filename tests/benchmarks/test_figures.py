"""The pictures of the results."""

from benchmarks import quality, scaling


def test_the_losses_of_the_seeds_are_drawn(tmp_path):
    curves = {1: (1.91, [250, 500], [2.5, 1.9]), 2: (1.9, [250, 500], [2.4, 1.88])}
    path = quality.draw_shakespeare(tmp_path / "a.png", curves)
    assert path.read_bytes().startswith(b"\x89PNG") and 5_000 < path.stat().st_size < 60_000


def test_the_costs_by_size_are_drawn_each_with_a_title(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "PICTURE", tmp_path / "a.png")
    scaling._draw({axis: ([1, 2], {"npgpt": [0.1, 0.2], "PyTorch": [None, None]})
                   for axis in scaling.AXES})
    assert (tmp_path / "a.png").stat().st_size > 5_000
