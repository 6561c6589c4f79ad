import pandas as pd

from analysis.page.provenance import commit, provenance
from analysis.settings import Settings, TrackingSettings

SHA = "0123456789abcdef0123456789abcdef01234567"


def test_commit_is_read_from_wherever_git_keeps_it(tmp_path):
    git = tmp_path / ".git"
    assert commit(tmp_path) == "unknown"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert commit(tmp_path) == "unknown"  # before the first commit
    (git / "packed-refs").write_text(f"# pack-refs\n{SHA[::-1]} refs/heads/maintenance\n{SHA} refs/heads/main\n")
    assert commit(tmp_path) == SHA
    (git / "refs" / "heads" / "main").write_text(f"{SHA[::-1]}\n")
    assert commit(tmp_path) == SHA[::-1]
    (git / "HEAD").write_text(f"{SHA}\n")
    assert commit(tmp_path) == SHA


def test_a_worktree_has_its_own_head_and_shared_branches(tmp_path):
    git = tmp_path / "main" / ".git"
    (git / "worktrees" / "w").mkdir(parents=True)
    (git / "worktrees" / "w" / "HEAD").write_text("ref: refs/heads/side\n")
    (git / "worktrees" / "w" / "commondir").write_text("../..\n")
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "side").write_text(f"{SHA}\n")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".git").write_text(f"gitdir: {git / 'worktrees' / 'w'}\n")
    assert commit(tmp_path / "w") == SHA


def test_no_password_is_written_down(monkeypatch):
    for name in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    uri = "postgresql://me:s3cret@host/db"
    cells = pd.DataFrame([{"run_id": "r", "name": "n", "cell": "c", "git": "g"}])
    made = provenance(Settings(tracking=TrackingSettings(uri)), [f"tracking.uri={uri}"], cells, unit="study")
    assert "s3cret" not in str(made)
    assert made["tracking_uri"] == "postgresql://me:***@host/db"
    assert made["command"] == "python -m analysis.report tracking.uri=postgresql://me:***@host/db"
