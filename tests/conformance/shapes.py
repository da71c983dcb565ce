"""What the answers of the task API look like, as facts that the server has to agree with.

A shape lists its members: `name` is a text, `name:type` anything else, and `?` marks a member that
may be missing. `[type]` is a list, `type|null` may be null, and a type with an upper-case initial
is another shape or one of the choices of words.
"""

from typing import Final

CHOICES: Final[dict[str, str]] = {
    "ActorKind": "human agent_session automation extension network_peer daemon",
    "ApprovalPolicy": "none manual",
    "ApprovalState": "not_required pending approved rejected",
    "CoordinationMessageKind": "status request reply blocker handoff result review_request",
    "CoordinatorMode": "inherit guided",
    "DeliveryMode": "direct-send reply",
    "InboxLane": "my_work approvals failed_runs blocked archived",
    "DependencyKind": "blocks",
    "OriginKind": "cli web uds http automation extension network agent_session daemon",
    "OwnerKind": "human agent_session automation extension network_peer pool",
    "Priority": "low medium high urgent",
    "ReviewOutcome": "approved rejected blocked error timeout invalid_output",
    "ReviewPolicy": "none always on_success on_failure",
    "ReviewStatus": "requested routed in_review recorded circuit_opened canceled",
    "RunStatus": "queued claimed starting running completed failed canceled needs_attention",
    "RuntimeMode": "default evidence",
    "SandboxMode": "inherit none ref",
    "Scope": "global workspace",
    "TaskStatus": "draft pending blocked ready in_progress completed failed canceled",
    "TempestErrorStatus": "error",
    "TempestOwnerType": "user team",
    "TempestStatus": "ok error",
    "TempestVariableType": "variable secret certificate private_key public_key",
    "TempestVerb": "create update delete read",
    "WorkerMode": "inherit select",
}

SHAPES: Final[dict[str, str]] = {
    "Actor": "kind:ActorKind ref",
    "AgentClaim": (
        "coordination_channel?:CoordinationChannel|null lease:RunLease run:Run task:TaskReference"
    ),
    "BridgeSubscription": (
        "bridge_instance_id created_at:time created_by:Actor cursor:DeliveryCursor "
        "delivery_mode:DeliveryMode group_id? peer_id? scope:Scope subscription_id task_id "
        "thread_id? updated_at:time workspace_id?"
    ),
    "BridgeSubscriptionResponse": "subscription:BridgeSubscription",
    "BulkForceRunItem": "error?:ErrorBody|null ok:bool run?:Run|null run_id",
    "BulkForceRunResponse": "results:[BulkForceRunItem]",
    "ClaimNextAgentTaskResponse": "claim:AgentClaim",
    "CoordinationChannel": (
        "allowed_message_kinds:[CoordinationMessageKind] channel? display_name id "
        "last_activity_at?:time|null purpose? run_id? task_id? workflow_id? workspace_id?"
    ),
    "CoordinatorProfile": "agent_name? guidance? mode:CoordinatorMode model? provider?",
    "Dashboard": (
        "active_runs:DashboardActiveRuns cards:DashboardCards freshness:DashboardFreshness "
        "health:DashboardHealth queue:DashboardQueue status_breakdown?:[DashboardStatusBucket] "
        "totals:DashboardTotals"
    ),
    "DashboardActiveRun": (
        "age_ms:int attempt:int error? health_status last_activity_at:time latest_event_seq:int "
        "max_attempts:int network_channel? run_id run_status:RunStatus scope:Scope session_id? "
        "stuck:bool task_id task_identifier? task_owner?:Owner|null task_priority?:Priority "
        "task_status:TaskStatus task_title workspace_id?"
    ),
    "DashboardActiveRuns": (
        "claimed:int items?:[DashboardActiveRun] queued:int running:int starting:int total:int"
    ),
    "DashboardBlockedCard": (
        "awaiting_approval:int awaiting_dependencies:int health_status tasks:int"
    ),
    "DashboardCards": (
        "blocked:DashboardBlockedCard failed:DashboardFailedCard "
        "in_progress:DashboardInProgressCard latency:DashboardLatencyCard"
    ),
    "DashboardFailedCard": "failed_runs:int forced_stops:int health_status tasks:int",
    "DashboardFreshness": (
        "age_ms:int has_live_work:bool latest_activity_at:time observed_at:time stale:bool "
        "stale_after_ms:int status"
    ),
    "DashboardHealth": "active_orphan_runs:int queue_backlog:bool status stuck_runs:int",
    "DashboardInProgressCard": (
        "active_runs:int claimed_runs:int health_status queued_runs:int running_runs:int "
        "starting_runs:int tasks:int"
    ),
    "DashboardLatencyCard": "claim_latency_ms:LatencyMetric start_latency_ms:LatencyMetric",
    "DashboardQueue": (
        "backlog_status backlog_threshold_ms:int backlog_warning:bool "
        "depth?:[DashboardQueueDepth] oldest_queue_age_ms:int oldest_queued_at:time total:int"
    ),
    "DashboardQueueDepth": (
        "count:int network_channel? oldest_queue_age_ms:int oldest_queued_at:time"
    ),
    "DashboardStatusBucket": "count:int share_percent:int status:TaskStatus",
    "DashboardTotals": (
        "active_runs:int awaiting_approval_tasks:int blocked_tasks:int canceled_runs:int "
        "canceled_tasks:int claimed_runs:int completed_runs:int completed_tasks:int "
        "dependency_blocked_tasks:int draft_tasks:int failed_runs:int failed_tasks:int "
        "in_progress_tasks:int pending_tasks:int queued_runs:int ready_tasks:int "
        "running_runs:int runs_total:int starting_runs:int tasks_total:int"
    ),
    "DeliveryCursor": (
        "consumer_id last_delivered_at?:time|null last_delivery_id? last_error? "
        "last_sequence:int stream_name subject_id updated_at?:time|null"
    ),
    "Dependency": "created_at:time depends_on_task_id kind:DependencyKind task_id",
    "DependencyReference": (
        "created_at:time depends_on:TaskReference depends_on_task_id kind:DependencyKind task_id"
    ),
    "Diagnostic": (
        "category code data_freshness doc_url? evidence?:object id message severity "
        "suggested_command? title"
    ),
    "DrainSchedulerResponse": (
        "completed:bool completed_at:time remaining_claims:int scheduler:SchedulerStatus "
        "started_at:time timed_out?:bool"
    ),
    "ErrorBody": "diagnostic?:Diagnostic|null error",
    "ExecutionProfile": (
        "coordinator:CoordinatorProfile created_at:time participants:ParticipantPolicy "
        "review:ReviewProfile runtime:RuntimePolicy sandbox:SandboxPolicy task_id "
        "updated_at:time worker:WorkerProfile"
    ),
    "ExecutionProfileResponse": "profile:ExecutionProfile",
    "GetSchedulerBacklogResponse": "backlog:SchedulerBacklog",
    "GetTaskDashboardResponse": "dashboard:Dashboard",
    "GetTaskInboxResponse": "inbox:Inbox",
    "GetTaskRunResponse": "run:RunDetail",
    "GetTaskRunReviewResponse": "review:Review",
    "GetTaskTimelineResponse": "timeline:[TimelineItem]",
    "GetTaskTreeResponse": "tree:TaskTree",
    "Inbox": "archived_total:int groups?:[InboxGroup] total:int unread_total:int",
    "InboxGroup": "count:int items?:[InboxItem] lane:InboxLane unread_count:int",
    "InboxItem": (
        "approval_policy?:ApprovalPolicy approval_state?:ApprovalState blocking_reason? "
        "lane:InboxLane latest_activity_at:time run?:RunSummary|null task:TaskReference "
        "triage:TriageState"
    ),
    "Inspect": (
        "as_of:time bound_session?:InspectSession|null current_run?:InspectRun|null "
        "diagnostics?:[Diagnostic] next_action recent_events?:[InspectEvent] "
        "recent_runs?:[InspectRun] scheduler:InspectScheduler target task:TaskSummary"
    ),
    "InspectEvent": "id outcome? run_id? session_id? summary? task_id? timestamp:time type",
    "InspectResponse": "inspect:Inspect",
    "InspectRun": (
        "attempt:int bound_session_id? claim_token_hash_truncated? ended_at?:time|null "
        "failure_kind? heartbeat_age_seconds?:int|null heartbeat_at?:time|null "
        "last_error_summary? lease_until?:time|null previous_run_id? queued_at:time "
        "retries?:int run_id started_at?:time|null status:RunStatus task_id"
    ),
    "InspectScheduler": "paused:bool paused_at?:time|null paused_by? reason? updated_at?:time|null",
    "InspectSession": (
        "agent_name? failure_kind? last_activity_at?:time|null provider_name? session_id "
        "started_at?:time|null state? stop_reason? workspace_id?"
    ),
    "LatencyMetric": "average_ms:int maximum_ms:int samples:int",
    "LeaseResponse": "lease:RunLease",
    "ListTaskBridgeNotificationSubscriptionsResponse": "subscriptions:[BridgeSubscription]",
    "ListTaskRunsResponse": "runs:[Run]",
    "ListTasksResponse": "tasks:[TaskSummary]",
    "Origin": "kind:OriginKind ref",
    "Owner": "kind:OwnerKind ref",
    "ParticipantPolicy": (
        "allowed_agent_names?:[text] allowed_channel_ids?:[text] allowed_peer_ids?:[text] "
        "preferred_agent_names?:[text] preferred_capabilities?:[text] "
        "preferred_channel_ids?:[text] preferred_peer_ids?:[text] required_capabilities?:[text]"
    ),
    "Review": (
        "attempt:int confidence?:number|null created_at:time deadline_at:time delivery_id? "
        "missing_work?:any next_round_guidance? outcome?:ReviewOutcome parent_review_id? "
        "policy:ReviewPolicy reason? requested_at:time review_id review_round:int review_text? "
        "reviewed_at:time reviewed_by?:Actor|null reviewer_agent_name? reviewer_channel_id? "
        "reviewer_peer_id? reviewer_session_id? routed_at:time run_id started_at:time "
        "status:ReviewStatus task_id updated_at:time"
    ),
    "ReviewListResponse": "reviews:[Review]",
    "ReviewProfile": (
        "agent_name? allowed_agent_names?:[text] allowed_channel_ids?:[text] "
        "allowed_peer_ids?:[text] model? preferred_agent_names?:[text] "
        "preferred_capabilities?:[text] preferred_channel_ids?:[text] "
        "preferred_peer_ids?:[text] provider? required_capabilities?:[text]"
    ),
    "ReviewRequestResponse": "created:bool review:Review",
    "Run": (
        "attempt:int claim_token_hash? claimed_at?:time|null claimed_by?:Actor|null "
        "coordination_channel?:CoordinationChannel|null coordination_channel_id? "
        "ended_at?:time|null error? failure_kind? heartbeat_at?:time|null id idempotency_key? "
        "lease_until?:time|null metadata?:any network_channel? origin:Origin previous_run_id? "
        "queued_at:time result?:any session_id? started_at?:time|null status:RunStatus task_id"
    ),
    "RunChainResponse": "previous_run:Run run:Run",
    "RunDetail": (
        "run:Run session?:RunSession|null summary:RunOperationalSummary task:TaskReference"
    ),
    "RunLease": (
        "claim_token_hash? claimed_by?:Actor|null "
        "coordination_channel?:CoordinationChannel|null coordination_channel_id? "
        "heartbeat_at?:time|null lease_until?:time|null run_id session_id? status:RunStatus "
        "task_id"
    ),
    "RunOperationalSummary": (
        "cost_currency?:text|null input_tokens?:int|null last_activity_at:time last_event_type? "
        "output_tokens?:int|null tool_call_count?:int|null total_cost?:number|null "
        "total_tokens?:int|null turn_count?:int|null"
    ),
    "RunResponse": "run:Run",
    "RunSession": (
        "agent_name? channel? created_at:time name? session_id state? updated_at:time workspace_id?"
    ),
    "RunSummary": (
        "attempt:int claim_token_hash? claimed_at?:time|null claimed_by?:Actor|null "
        "coordination_channel?:CoordinationChannel|null coordination_channel_id? "
        "ended_at?:time|null error? failure_kind? heartbeat_at?:time|null id "
        "lease_until?:time|null max_attempts:int previous_run_id? queued_at:time session_id? "
        "started_at?:time|null status:RunStatus task_id"
    ),
    "RuntimePolicy": "mode:RuntimeMode",
    "SandboxPolicy": "mode:SandboxMode sandbox_ref?",
    "SchedulerBacklog": "runs:[SchedulerBacklogEntry] total:int",
    "SchedulerBacklogEntry": "run:Run task:TaskSummary",
    "SchedulerResponse": "scheduler:SchedulerStatus",
    "SchedulerStatus": (
        "active_claim_count:int as_of:time needs_attention_run_count:int paused:bool "
        "paused_at?:time|null paused_by? paused_reason? paused_task_count:int "
        "queued_run_count:int starved_run_count:int"
    ),
    "SubmitTaskRunReviewVerdictResponse": (
        "circuit_opened?:bool continuation_run?:Run|null review:Review"
    ),
    "Task": (
        "approval_policy?:ApprovalPolicy approval_state?:ApprovalState "
        "auto_enqueue_on_ready?:bool closed_at?:time|null created_at:time created_by:Actor "
        "current_run_id? description? draft?:bool effective_paused?:bool id identifier? "
        "latest_event_seq:int max_attempts?:int metadata?:any network_channel? origin:Origin "
        "owner?:Owner|null parent_task_id? paused?:bool paused_at?:time|null paused_by? "
        "paused_by_task_id? paused_reason? priority?:Priority scope:Scope status:TaskStatus "
        "title updated_at:time workspace_id?"
    ),
    "TaskDetail": (
        "children?:[TaskSummary] dependencies?:[Dependency] "
        "dependency_references?:[DependencyReference] events?:[TaskEvent] runs?:[Run] "
        "summary:TaskSummary task:Task"
    ),
    "TaskDetailResponse": "task:TaskDetail",
    "TaskEvent": (
        "actor:Actor event_type id origin:Origin payload?:any run_id? task_id timestamp:time"
    ),
    "TaskExecutionResponse": "run:Run task:Task",
    "TaskReference": (
        "effective_paused?:bool id identifier? latest_event_seq:int owner?:Owner|null "
        "paused?:bool paused_by_task_id? priority?:Priority scope:Scope status:TaskStatus title "
        "workspace_id?"
    ),
    "TaskResponse": "task:Task",
    "TaskStreamEvent": "sequence:int timeline:TimelineItem type",
    "TaskSummary": (
        "active_run?:RunSummary|null approval_policy?:ApprovalPolicy "
        "approval_state?:ApprovalState auto_enqueue_on_ready?:bool child_count?:int "
        "closed_at?:time|null created_at:time created_by:Actor current_run_id? "
        "dependencies?:[DependencyReference] dependency_count?:int draft?:bool "
        "effective_paused?:bool id identifier? last_activity_at?:time|null latest_event_seq:int "
        "max_attempts?:int network_channel? origin:Origin owner?:Owner|null parent_task_id? "
        "paused?:bool paused_at?:time|null paused_by? paused_by_task_id? paused_reason? "
        "priority?:Priority scope:Scope status:TaskStatus title updated_at:time workspace_id?"
    ),
    "TaskTree": "descendants?:[TaskTreeNode] root:TaskTreeNode",
    "TaskTreeNode": (
        "active_run?:RunSummary|null child_count?:int depth:int last_activity_at:time "
        "parent_task_id? task:TaskReference"
    ),
    "TempestAction": (
        "action environment_variables?:[TempestVariable] input:object metadata?:object "
        "request_type resource:TempestResource"
    ),
    "TempestError": "error status:TempestErrorStatus",
    "TempestLink": "title type url",
    "TempestLinks": "links?:[TempestLink]",
    "TempestList": "metadata?:object next request_type resource:TempestResource",
    "TempestMetadata": "tempest_app_url?",
    "TempestNext": "metadata:TempestTaskMetadata task:object task_id",
    "TempestOperation": (
        "environment_variables?:[TempestVariable] input:object metadata?:object "
        "operation:TempestVerb request_type resource:TempestResource"
    ),
    "TempestOwner": "email name type:TempestOwnerType",
    "TempestPage": "next resources:[TempestResource]",
    "TempestProject": "created_at?:time id name organization_id type updated_at?:time",
    "TempestProjects": "next projects:[TempestProject]",
    "TempestResource": (
        "created_at?:time created_by?:text|null deleted_at?:time|null display_name external_id "
        "external_url? id? links?:TempestLinks|null name?:text|null organization_id? "
        "properties?:object|null status? synced_at?:time type updated_at?:time"
    ),
    "TempestStandard": "error?:text|null message? metadata?:TempestMetadata status:TempestStatus",
    "TempestTaskMetadata": ("author:TempestOwner owners:[TempestOwner] project_id project_name"),
    "TempestVariable": "name type:TempestVariableType value",
    "TimelineItem": (
        "actor:Actor event_id event_type origin:Origin payload?:any run?:RunSummary|null "
        "sequence:int task:TaskReference timestamp:time"
    ),
    "TriageResponse": "triage:TriageState",
    "TriageState": (
        "actor:Actor archived:bool dismissed:bool last_seen_activity_at?:time|null read:bool "
        "task_id updated_at:time"
    ),
    "WorkerProfile": (
        "agent_name? allowed_agent_names?:[text] mode:WorkerMode model? "
        "preferred_agent_names?:[text] preferred_capabilities?:[text] provider? "
        "required_capabilities?:[text]"
    ),
}
