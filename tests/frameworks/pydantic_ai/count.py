"""A process that loads the last number of a conversation, and saves the next, 50 times."""

import asyncio
import sys

from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict

import treadle
from tests.frameworks.pydantic_ai.messages import asked, texts
from treadle.integrations.pydantic_ai import TreadleConversationStore

TIMES = 50


async def count(conversations: TreadleConversationStore) -> None:
    """Append the next number."""
    while True:
        found = await conversations.load("count", limit=1)
        last = 0 if found is None else int(texts(found)[-1])
        found = found or Conversation(conversation_id="count")
        found.messages.append(asked(str(last + 1)))
        try:
            await conversations.save(found)
        except ConversationConflict:
            continue
        return


async def main(url: str) -> None:
    """Count."""
    async with treadle.open_store(url) as store:
        for _ in range(TIMES):
            await count(TreadleConversationStore(store))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
