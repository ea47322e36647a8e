"""Hugging Face's Trainer fine-tunes the encoder: with its defaults, reviews grouped by length, bfloat16, or
compiled."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmark import arrays
from scripts.benchmark.cells import Job
from scripts.benchmark.clock import Clock
from scripts.benchmark.encoder import BATCH, LENGTH, encoder
from scripts.benchmark.tokens import tokens_of


def run(job: Job) -> dict[str, Any]:
    """Trains with the recipe of `configs/text_bert.yaml`; measures each epoch after the first."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer

    folder, clock, settings = encoder(), Clock(), arguments(job)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    parts = {name: encoded(tokenizer, *arrays.texts(job, name)) for name in ("train", "test")}
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=parts["train"],
        eval_dataset=parts["test"],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda p: {"acc": float((np.argmax(p.predictions, axis=1) == p.label_ids).mean())},
        callbacks=[times(clock)],
    )
    trainer.train()
    return {
        "first_step": clock.first_step,
        "epochs": clock.epochs[1:],
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "steps": -(-len(parts["train"]) // BATCH),
        "precision": "bf16" if settings.bf16 else "32",
        "accuracy": trainer.evaluate()["eval_acc"],
        "accuracy_after": job.settings["epochs"],
        **tokens_of(job),
    }


def arguments(job: Job) -> Any:
    """Trainer's arguments: our recipe, and those of the rival."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(Path(job.folder) / "trainer"),
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        num_train_epochs=job.settings["epochs"],
        learning_rate=5e-5,
        weight_decay=0.01,
        warmup_steps=0.1,
        seed=job.repetition,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=job.device == "cpu",
        **job.options.get("arguments", {}),
    )


def times(clock: Clock) -> Any:
    """A callback that measures the first step, and all epochs."""
    from transformers import TrainerCallback

    class Times(TrainerCallback):
        """Times of the steps and epochs."""

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            clock.step()

        def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
            clock.epochs.append(time.perf_counter() - self.began)

    return Times()


def encoded(tokenizer: Any, reviews: list[str], labels: list[int]) -> list[dict[str, Any]]:
    """Each review as token ids with its label, without padding."""
    ids = tokenizer(reviews, truncation=True, max_length=LENGTH)
    return [
        {"input_ids": row, "attention_mask": mask, "labels": label}
        for row, mask, label in zip(ids["input_ids"], ids["attention_mask"], labels, strict=True)
    ]
