"""The members that clients see of the facts of the PostHog Tasks API: always, sometimes."""

_TASK = {"origin_product", "repository", "github_integration"}

EVENT_TABLE: dict[str, tuple[set[str], set[str]]] = {
    "posthog.task_created": (
        {"posthog_task_id", "workspace_id", "task_number", "slug", "title", "origin_product"},
        {"repository", "github_integration"},
    ),
    "posthog.task_updated": (
        {"posthog_task_id", "workspace_id", "changed_fields"},
        {"title", *_TASK},
    ),
    "posthog.task_deleted": ({"posthog_task_id", "workspace_id"}, set()),
    "posthog.run_created": (
        {"posthog_run_id", "posthog_task_id", "environment"},
        {"stage", "branch"},
    ),
    "posthog.run_updated": (
        {"posthog_run_id", "changed_fields"},
        {"stage", "branch", "state_remove_keys"},
    ),
    "posthog.output_set": ({"posthog_run_id"}, set()),
    "posthog.log_appended": (
        {"posthog_run_id", "count", "size", "total_count", "total_size"},
        set(),
    ),
    "posthog.message_relayed": ({"posthog_run_id", "relay_id", "text"}, set()),
    "posthog.upload_received": ({"posthog_run_id", "storage_path", "content"}, set()),
    "posthog.artifact_stored": (
        {"posthog_run_id", "artifact_id", "name", "type", "storage_path", "content"},
        {"content_type", "source"},
    ),
}
