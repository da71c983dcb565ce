// @ts-check
/** What can be done with tasks and with runs. */

const OVER = ["completed", "failed", "canceled"];
const NEXT_ATTEMPT = "its next attempt";
const SAME_RUN = "the run itself, queued again";

/** @type {import("./actions.js").Field} */
const REASON = { name: "reason", label: "Reason" };

/**
 * Return what can be done with a task.
 * @param {any} task
 * @param {any} summary
 * @returns {import("./actions.js").Command[]}
 */
export function taskCommands(task, summary) {
  if (OVER.includes(task.status)) return [];
  const base = `/api/tasks/${encodeURIComponent(task.id)}`;
  const open = Boolean(summary.active_run);
  const pending = task.approval_state === "pending";
  return [
    ...(task.draft
      ? [
          {
            label: "Publish",
            path: `${base}/publish`,
            explain: "End the draft and queue a run.",
            body: () => ({}),
          },
        ]
      : []),
    ...(pending
      ? [
          {
            label: "Approve",
            path: `${base}/approve`,
            explain: "Approve the task and queue a run.",
            body: () => ({}),
          },
          { label: "Reject", path: `${base}/reject`, explain: "Reject the task.", danger: true },
        ]
      : []),
    ...(!task.draft && !open && !pending
      ? [
          {
            label: "Enqueue",
            path: `${base}/runs`,
            explain: "Queue a run for whoever may work on it.",
            body: () => ({}),
          },
        ]
      : []),
    task.paused
      ? {
          label: "Resume",
          path: `${base}/resume`,
          explain: "Let its runs be handed out again.",
          body: () => ({}),
        }
      : {
          label: "Pause",
          path: `${base}/pause`,
          explain: "Hand out no run of it or of what lies below it.",
          fields: [{ ...REASON, required: true }],
        },
    {
      label: "Cancel",
      path: `${base}/cancel`,
      explain: "End the task, its run and everything below it.",
      fields: [REASON],
      danger: true,
    },
  ];
}

/**
 * Return what can be done with a run.
 * @param {any} run
 * @returns {import("./actions.js").Command[]}
 */
export function runCommands(run) {
  const forced = `/api/runs/${encodeURIComponent(run.id)}`;
  if (run.status === "failed" || run.status === "canceled") {
    return [
      {
        label: "Retry",
        path: `${forced}/retry`,
        explain: "Queue another run after this one.",
        body: () => ({}),
      },
    ];
  }
  if (OVER.includes(run.status)) return [];
  const cancel = {
    label: "Cancel run",
    path: `/api/task-runs/${encodeURIComponent(run.id)}/cancel`,
    explain: "End this run; the task stays.",
    fields: [REASON],
    danger: true,
  };
  if (run.status === "queued") return [cancel];
  return [
    run.status === "needs_attention" ? recovery(forced) : release(forced),
    {
      label: "Fail",
      path: `${forced}/fail`,
      explain: "Fail the run, whatever its holder does.",
      fields: [{ ...REASON, required: true }],
      danger: true,
    },
    cancel,
  ];
}

/**
 * @param {string} path
 * @returns {import("./actions.js").Command}
 */
const release = (path) => ({
  label: "Release",
  path: `${path}/release`,
  explain: "Take the run away from its holder and queue it again.",
  fields: [REASON],
});

/**
 * @param {string} path
 * @returns {import("./actions.js").Command}
 */
const recovery = (path) => ({
  label: "Recover",
  path: `${path}/recover`,
  explain: "Give a run that was set aside another try.",
  fields: [REASON, { name: "as", label: "As", required: true, kind: [NEXT_ATTEMPT, SAME_RUN] }],
  body: ({ as, ...given }) => ({ ...given, in_place: as === SAME_RUN }),
});
