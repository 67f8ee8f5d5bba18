"""The errors a user can cause, and what each one means for a shell's exit status."""

from __future__ import annotations

from enum import Enum


class Code(str, Enum):
    """One code per cause; the value is what logs, events and the troubleshooting page show."""

    FILE_MISSING = "file-missing"
    FILE_UNREADABLE = "file-unreadable"
    NOT_3D = "not-3d"
    NOT_FINITE = "not-finite"
    IMAGE_EMPTY = "image-empty"
    LABELS_ELSEWHERE = "labels-elsewhere"
    LABELS_EMPTY = "labels-empty"
    LABELS_NEGATIVE = "labels-negative"
    LABELS_NOT_INTEGER = "labels-not-integer"
    LABELS_TOO_LARGE = "labels-too-large"
    LABELS_NOT_FOUND = "labels-not-found"
    SEGMENTS_OVERLAP = "segments-overlap"
    LABEL_TABLE_INVALID = "label-table-invalid"
    MASK_ELSEWHERE = "mask-elsewhere"
    MASK_EMPTY = "mask-empty"
    START_INVALID = "start-invalid"
    LANDMARKS_INVALID = "landmarks-invalid"
    CORRECTIONS_INVALID = "corrections-invalid"
    REQUEST_INVALID = "request-invalid"
    OUTPUT_EXISTS = "output-exists"
    OUTPUT_UNWRITABLE = "output-unwritable"
    DISK_FULL = "disk-full"
    OUT_OF_MEMORY = "out-of-memory"
    TORCH_MISSING = "torch-missing"
    TORCH_BROKEN = "torch-broken"
    DEVICE_MISSING = "device-missing"
    RESULT_INVALID = "result-invalid"
    DATA_INVALID = "data-invalid"
    TRAINING_DIVERGED = "training-diverged"
    MODEL_MISSING = "model-missing"
    MODEL_INVALID = "model-invalid"
    MODEL_UNFIT = "model-unfit"
    LIBRARY_MISSING = "library-missing"
    LIBRARY_INVALID = "library-invalid"
    COHORT_INVALID = "cohort-invalid"
    COHORT_BUSY = "cohort-busy"
    SCHEDULER_MISSING = "scheduler-missing"
    EXTRA_MISSING = "extra-missing"
    WORKER_DIED = "worker-died"
    WORKER_NOT_STARTED = "worker-not-started"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


EXIT_OK = 0
EXIT_INTERNAL = 1
EXIT_BAD_INPUT = 2
EXIT_ENVIRONMENT = 3
EXIT_CANCELLED = 130

_ENVIRONMENT = {
    Code.OUTPUT_UNWRITABLE,
    Code.DISK_FULL,
    Code.OUT_OF_MEMORY,
    Code.TORCH_MISSING,
    Code.TORCH_BROKEN,
    Code.DEVICE_MISSING,
    Code.EXTRA_MISSING,
    Code.SCHEDULER_MISSING,
    Code.WORKER_DIED,
    Code.WORKER_NOT_STARTED,
}


class JobError(Exception):
    """A run that cannot go on, told so that its reader can act.

    Args:
        code: the cause.
        message: one sentence that says what is wrong, with the offending value.
        advice: one sentence that says what to do about it.
    """

    def __init__(self, code: Code, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()

    @property
    def exit_status(self) -> int:
        """What a process that ends with this error returns to its shell."""
        if self.code is Code.CANCELLED:
            return EXIT_CANCELLED
        if self.code is Code.INTERNAL:
            return EXIT_INTERNAL
        return EXIT_ENVIRONMENT if self.code in _ENVIRONMENT else EXIT_BAD_INPUT
