"""Values and workflows of tests."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Never

from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowCheckpoint,
    WorkflowContext,
    handler,
    response_handler,
)

from treadle.integrations.agent_framework import TreadleCheckpointStorage

THEN = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass
class Approval:
    """A value of an application."""

    action: str
    params: tuple[Any, ...]
    at: datetime = THEN


TYPES = [f"{__name__}:Approval"]


def checkpoint(name: str = "workflow", **fields: Any) -> WorkflowCheckpoint:
    """Return a checkpoint of a workflow."""
    return WorkflowCheckpoint(workflow_name=name, graph_signature_hash="hash", **fields)


class Start(Executor):
    """Sends what it gets to the middle."""

    @handler
    async def run(self, message: str, context: WorkflowContext[str]) -> None:
        await context.send_message(f"{message}-start", target_id="middle")


class Middle(Executor):
    """Sends what it gets to the end."""

    @handler
    async def run(self, message: str, context: WorkflowContext[str]) -> None:
        await context.send_message(f"{message}-middle", target_id="finish")


class Finish(Executor):
    """Returns what it gets."""

    @handler
    async def run(self, message: str, context: WorkflowContext[Never, str]) -> None:
        await context.yield_output(f"{message}-done")


def three_steps(storage: TreadleCheckpointStorage) -> Workflow:
    """Return a workflow of three steps."""
    start, middle, finish = Start(id="start"), Middle(id="middle"), Finish(id="finish")
    builder = WorkflowBuilder(name="three-steps", start_executor=start, checkpoint_storage=storage)
    return builder.add_edge(start, middle).add_edge(middle, finish).build()


class Asker(Executor):
    """Asks a human, and returns the answer."""

    @handler
    async def start(self, message: str, context: WorkflowContext) -> None:
        await context.request_info(message, response_type=str, request_id="request")

    @response_handler
    async def answered(
        self, question: str, answer: str, context: WorkflowContext[Never, str]
    ) -> None:
        await context.yield_output(f"{question}->{answer}")


def asking(storage: TreadleCheckpointStorage) -> Workflow:
    """Return a workflow that asks a human."""
    return WorkflowBuilder(
        name="asking", start_executor=Asker(id="asker"), checkpoint_storage=storage
    ).build()
