"""Files that appear in a folder all together or not at all."""

import os
import shutil

_STAGING = ".preparing"


def publish(folder, files, replaced=()):
    """Write files aside, then have them take the place of earlier ones.

    Earlier files go, in the order of ``replaced``, before the first new one comes, and
    the new ones come in their order. So a file that is the first of ``replaced`` and
    the last of ``files`` tells by being there that all others are there, whole and of
    one making, also after a kill at any moment. After an exception, either the earlier
    files are untouched or none are left, and no new one.

    Arguments
    ---------
    folder : pathlib.Path
        Made if need be; files of other names stay.
    files : dict
        Iterables of text, one file each, by file name.
    replaced : sequence of str
        Names of all files that an earlier call may have left.
    """
    staging = folder / _STAGING
    shutil.rmtree(staging, ignore_errors=True)  # left by a kill
    staging.mkdir(parents=True)
    try:
        for name, texts in files.items():
            with open(staging / name, "w", encoding="utf-8", newline="") as stream:
                stream.writelines(texts)
                stream.flush()
                os.fsync(stream.fileno())
        _remove(folder, replaced)
        try:
            for name in files:
                os.replace(staging / name, folder / name)
                _sync(folder)
        except BaseException:
            _remove(folder, replaced)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _remove(folder, names):
    for name in names:
        (folder / name).unlink(missing_ok=True)
    _sync(folder)


def _sync(folder):
    """Have the folder's names on the disk, where the system can (not on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
