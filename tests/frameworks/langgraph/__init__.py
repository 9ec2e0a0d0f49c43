"""LangGraph: its checkpointer and its store."""
