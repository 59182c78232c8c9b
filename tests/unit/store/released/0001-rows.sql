INSERT INTO runs (id, trigger_id, subject, repository, number, installation_id, actor, input, attempt, phase, outcome, base_sha, branch, published_sha, pull_number, status_comment_id, phases, plan, model_turns, cost_usd, api_calls, status_edits, token_requests, asked_at, admitted_at, created_at, updated_at, finished_at) VALUES
  ('rrrrrrrrrr', 'IC_one', 'olivia/calc#7', 'olivia/calc', 7, 4711, 'olivia', '{"id": "rrrrrrrrrr", "trigger": {"id": "IC_one", "kind": "comment", "installation_id": 4711, "repository": {"owner": "olivia", "name": "calc"}, "repository_id": 99, "default_branch": "main", "private": true, "number": 7, "is_pull_request": false, "closed": false, "actor": {"login": "olivia", "id": 1, "type": "User"}, "title": "add() subtracts; it''s wrong", "body": "`add(2, 3)` is -1.", "author": {"login": "walter", "id": 2, "type": "User"}, "labels": ["bug", "honk:needs-you"], "comments": 2, "label": null, "comment": {"id": 5, "node_id": "IC_kwDOAAtest", "body": "/honk fix it base=main", "url": "https://github.com/olivia/calc/issues/7#issuecomment-5", "created_at": "2026-11-01T10:00:00Z", "on": "conversation", "line": null}, "command": {"name": "fix", "task": "fix it", "arguments": {"base": "main", "model": null, "budget_usd": null, "draft": null}, "sha": "", "near": "", "problem": "", "several": []}, "created_at": "2026-10-01T10:00:00Z", "updated_at": "2026-11-01T10:00:00Z", "html_url": "https://github.com/olivia/calc/issues/7"}, "policy": {"setup": [], "verify": [], "image": null, "network": {"allow": [], "mode": "fetch-only"}, "who": "write", "bots": [], "base": null, "branch": "honk/{number}-{slug}", "sign_off": false, "paths": {"protect": [], "only": []}, "scope": {"max_lines": null}, "integrity": {"block": ["removed", "skipped"]}, "no_tests": "failure", "budget": {"usd": 5.0, "minutes": 45.0, "turns": 200, "per_day_usd": null}, "corrections": 3, "judge": false, "draft": false, "auto_fix_ci": 1, "preview": null, "merge": "never", "control_room": false, "engine": "anthropic"}, "mode": "work", "carries_out": 0, "request": "fix it", "base_branch": "main", "model": "claude-sonnet-5-5", "context": [], "manifest": [], "trusted": null, "quiet": false}', 2, 'finished', 'done', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'honk/7-add-subtracts', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 8, 11, '[["queued", 1793520000.0], ["preparing", 1793520001.0], ["working", 1793520002.5]]', '[{"text": "Find it", "done": true}]', 3, 0.25, 21, 4, 5, 1793520000.0, 1793520001.0, 1793520000.0, 1793520900.0, 1793530000.5);

INSERT INTO turns (run_id, seq, record, cost_usd, snapshot, created_at) VALUES
  ('rrrrrrrrrr', 0, '{"seq": 0, "role": "user", "content": [{"type": "text", "text": "It''s wrong \u2013 mend it."}]}', 0.0, NULL, 1793520002.5);

INSERT INTO turns (run_id, seq, record, cost_usd, snapshot, created_at) VALUES
  ('rrrrrrrrrr', 1, '{"seq": 1, "role": "assistant", "content": [{"type": "text", "text": "Yes."}], "cost_usd": 0.25, "seconds": 3.5}', 0.25, 'cccccccccccccccccccccccccccccccccccccccc', 1793520006.0);

INSERT INTO messages (id, run_id, author, text, created_at) VALUES
  ('IC_one-word', 'rrrrrrrrrr', 'walter', 'And double() too, please.', 1793520010.0);

INSERT INTO runs (id, trigger_id, subject, repository, number, installation_id, actor, input, attempt, phase, outcome, base_sha, branch, published_sha, pull_number, status_comment_id, phases, plan, model_turns, cost_usd, api_calls, status_edits, token_requests, asked_at, admitted_at, created_at, updated_at, finished_at) VALUES
  ('ssssssssss', 'IC_two', 'olivia/calc#7', 'olivia/calc', 7, 4711, 'olivia', '{"id": "ssssssssss", "trigger": {"id": "IC_two", "kind": "comment", "installation_id": 4711, "repository": {"owner": "olivia", "name": "calc"}, "repository_id": 99, "default_branch": "main", "private": true, "number": 7, "is_pull_request": false, "closed": false, "actor": {"login": "olivia", "id": 1, "type": "User"}, "title": "add() subtracts; it''s wrong", "body": "`add(2, 3)` is -1.", "author": {"login": "walter", "id": 2, "type": "User"}, "labels": ["bug", "honk:needs-you"], "comments": 2, "label": null, "comment": {"id": 5, "node_id": "IC_kwDOAAtest", "body": "/honk fix it base=main", "url": "https://github.com/olivia/calc/issues/7#issuecomment-5", "created_at": "2026-11-01T10:00:00Z", "on": "conversation", "line": null}, "command": {"name": "fix", "task": "fix it", "arguments": {"base": "main", "model": null, "budget_usd": null, "draft": null}, "sha": "", "near": "", "problem": "", "several": []}, "created_at": "2026-10-01T10:00:00Z", "updated_at": "2026-11-01T10:00:00Z", "html_url": "https://github.com/olivia/calc/issues/7"}, "policy": {"setup": [], "verify": [], "image": null, "network": {"allow": [], "mode": "fetch-only"}, "who": "write", "bots": [], "base": null, "branch": "honk/{number}-{slug}", "sign_off": false, "paths": {"protect": [], "only": []}, "scope": {"max_lines": null}, "integrity": {"block": ["removed", "skipped"]}, "no_tests": "failure", "budget": {"usd": 5.0, "minutes": 45.0, "turns": 200, "per_day_usd": null}, "corrections": 3, "judge": false, "draft": false, "auto_fix_ci": 1, "preview": null, "merge": "never", "control_room": false, "engine": "anthropic"}, "mode": "work", "carries_out": 0, "request": "fix it", "base_branch": "main", "model": "claude-sonnet-5-5", "context": [], "manifest": [], "trusted": null, "quiet": false}', 2, 'working', NULL, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'honk/7-add-subtracts', NULL, NULL, 11, '[["queued", 1793520000.0], ["preparing", 1793520001.0], ["working", 1793520002.5]]', '[{"text": "Find it", "done": true}]', 3, 0.25, 21, 4, 5, 1793520000.0, 1793520001.0, 1793520000.0, 1793520900.0, NULL);

INSERT INTO turns (run_id, seq, record, cost_usd, snapshot, created_at) VALUES
  ('ssssssssss', 0, '{"seq": 0, "role": "user", "content": [{"type": "text", "text": "It''s wrong \u2013 mend it."}]}', 0.0, NULL, 1793520002.5);

INSERT INTO turns (run_id, seq, record, cost_usd, snapshot, created_at) VALUES
  ('ssssssssss', 1, '{"seq": 1, "role": "assistant", "content": [{"type": "text", "text": "Yes."}], "cost_usd": 0.25, "seconds": 3.5}', 0.25, 'cccccccccccccccccccccccccccccccccccccccc', 1793520006.0);

INSERT INTO messages (id, run_id, author, text, created_at) VALUES
  ('IC_two-word', 'ssssssssss', 'walter', 'And double() too, please.', 1793520010.0);

INSERT INTO writes (installation_id, tokens, updated_at) VALUES
  (4711, 58.5, 1793520010.0);

INSERT INTO results (repository, commit_sha, environment, results, created_at) VALUES
  ('olivia/calc', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', '[]', 1793520010.0);

INSERT INTO workers (id, slots, started_at) VALUES
  ('honk-1-0123456789ab', 8, 1793520000.0);

INSERT INTO deliveries (guid, seen_at) VALUES
  ('72d3162e-cc78-11e3-81ab-4c9367dc0958', 1793520000.0);

INSERT INTO marks (name, at) VALUES
  ('deliveries', 1793520000.0);
