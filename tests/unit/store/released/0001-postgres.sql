CREATE TABLE runs (
    id VARCHAR(32) NOT NULL,
    trigger_id VARCHAR(200) NOT NULL,
    subject VARCHAR(300) NOT NULL,
    repository VARCHAR(210) NOT NULL,
    number INTEGER NOT NULL,
    installation_id BIGINT NOT NULL,
    actor VARCHAR(100) NOT NULL,
    input JSON NOT NULL,
    attempt INTEGER DEFAULT '1' NOT NULL,
    phase VARCHAR(20) NOT NULL,
    outcome VARCHAR(20),
    base_sha VARCHAR(64),
    start_tree VARCHAR(64),
    start_seq INTEGER,
    head_sha VARCHAR(64),
    head_key VARCHAR(64),
    branch VARCHAR(250),
    published_sha VARCHAR(64),
    pull_number INTEGER,
    pull_url TEXT,
    status_comment_id BIGINT,
    status_node_id VARCHAR(200),
    run_check_id BIGINT,
    told_attempt INTEGER,
    phases JSON,
    stop_asked_by VARCHAR(100),
    stop_why TEXT,
    plan JSON,
    model_turns INTEGER DEFAULT '0' NOT NULL,
    cost_usd FLOAT DEFAULT '0' NOT NULL,
    api_calls INTEGER DEFAULT '0' NOT NULL,
    status_edits INTEGER DEFAULT '0' NOT NULL,
    token_requests INTEGER DEFAULT '0' NOT NULL,
    asked_at FLOAT NOT NULL,
    admitted_at FLOAT,
    created_at FLOAT NOT NULL,
    updated_at FLOAT NOT NULL,
    finished_at FLOAT,
    PRIMARY KEY (id),
    UNIQUE (trigger_id)
);

CREATE INDEX runs_by_subject ON runs (subject, created_at);

CREATE INDEX runs_by_time ON runs (created_at);

CREATE INDEX runs_by_repository ON runs (repository, admitted_at);

CREATE INDEX runs_by_installation ON runs (installation_id, admitted_at);

CREATE INDEX runs_by_commit ON runs (repository, published_sha);

CREATE INDEX runs_by_pull ON runs (repository, pull_number);

CREATE INDEX runs_alive ON runs (subject) WHERE finished_at IS NULL;

CREATE TABLE turns (
    run_id VARCHAR(32) NOT NULL,
    seq INTEGER NOT NULL,
    record JSON NOT NULL,
    cost_usd FLOAT DEFAULT '0' NOT NULL,
    snapshot VARCHAR(64),
    created_at FLOAT NOT NULL,
    PRIMARY KEY (run_id, seq),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE TABLE messages (
    id VARCHAR(200) NOT NULL,
    run_id VARCHAR(32) NOT NULL,
    author VARCHAR(100) NOT NULL,
    text TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX messages_by_run ON messages (run_id, created_at);

CREATE TABLE images (
    run_id VARCHAR(32) NOT NULL,
    seq INTEGER NOT NULL,
    about TEXT NOT NULL,
    media_type VARCHAR(40) NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (run_id, seq),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE TABLE writes (
    installation_id BIGSERIAL NOT NULL,
    tokens FLOAT NOT NULL,
    updated_at FLOAT NOT NULL,
    PRIMARY KEY (installation_id)
);

CREATE TABLE results (
    repository VARCHAR(210) NOT NULL,
    commit_sha VARCHAR(64) NOT NULL,
    environment VARCHAR(64) NOT NULL,
    results JSON NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (repository, commit_sha, environment)
);

CREATE TABLE workers (
    id VARCHAR(100) NOT NULL,
    slots INTEGER NOT NULL,
    started_at FLOAT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE deliveries (
    guid VARCHAR(64) NOT NULL,
    seen_at FLOAT NOT NULL,
    PRIMARY KEY (guid)
);

CREATE INDEX deliveries_by_time ON deliveries (seen_at);

CREATE TABLE marks (
    name VARCHAR(50) NOT NULL,
    at FLOAT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);

INSERT INTO alembic_version VALUES ('0001');
