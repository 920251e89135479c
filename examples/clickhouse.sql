-- SPDX-License-Identifier: BSD-2-Clause
--
-- Copyright (c) 2026 The siftr_cdev maintainers
--
-- Loads the logs in fleet/host=*/ into a table with a roll-up:
-- clickhouse local --path clickhouse --multiquery < examples/clickhouse.sql
-- A server reads files under its user_files_path.

CREATE DATABASE IF NOT EXISTS tcpstats;

-- Each row is a record.  Names and units are those of tcpstats(5); add more columns as needed.
CREATE TABLE IF NOT EXISTS tcpstats.records
(
    host LowCardinality(String),
    time DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
    -- The number of the run of the logger, in order of time.
    run UInt32,
    -- A hash of run, network stack, gencnt, addresses, ports and zone.  gencnt is
    -- unique in a network stack until a reboot.
    connection UInt64,
    vnet Nullable(UInt64),
    gencnt UInt64,
    laddr IPv6,
    lport UInt16,
    faddr IPv6,
    fport UInt16,
    state LowCardinality(String),
    uid Nullable(UInt32),
    cc LowCardinality(String),
    snd_cwnd Nullable(UInt32) CODEC(T64, ZSTD),
    snd_ssthresh Nullable(UInt32) CODEC(T64, ZSTD),
    snd_wnd Nullable(UInt32) CODEC(T64, ZSTD),
    rcv_wnd Nullable(UInt32) CODEC(T64, ZSTD),
    srtt Nullable(UInt32) CODEC(T64, ZSTD),
    rttvar Nullable(UInt32) CODEC(T64, ZSTD),
    inflight Nullable(UInt32) CODEC(T64, ZSTD),
    snd_cc Nullable(UInt32) CODEC(T64, ZSTD),
    acked_bytes Nullable(UInt64) CODEC(T64, ZSTD),
    rexmit_bytes Nullable(UInt64) CODEC(T64, ZSTD),
    -- Differences from the previous record of the same connection.
    acked Int64 CODEC(T64, ZSTD),
    rexmit Int64 CODEC(T64, ZSTD)
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (host, connection, time);

-- Per minute and network, /24 for IPv4 and /48 for IPv6; updated by every insert.
CREATE TABLE IF NOT EXISTS tcpstats.per_minute
(
    host LowCardinality(String),
    minute DateTime('UTC'),
    network IPv6,
    connections AggregateFunction(uniqExact, UInt64),
    acked_bytes SimpleAggregateFunction(sum, Int64),
    rexmit_bytes SimpleAggregateFunction(sum, Int64),
    srtt_us AggregateFunction(quantilesTDigest(0.5, 0.95), Nullable(UInt32))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (host, minute, network);

CREATE MATERIALIZED VIEW IF NOT EXISTS tcpstats.to_per_minute TO tcpstats.per_minute AS
SELECT
    host,
    toStartOfMinute(time) AS minute,
    tupleElement(IPv6CIDRToRange(faddr, if(startsWith(IPv6NumToString(faddr), '::ffff:'), 120, 48)), 1) AS network,
    uniqExactState(connection) AS connections,
    sum(acked) AS acked_bytes,
    sum(rexmit) AS rexmit_bytes,
    quantilesTDigestState(0.5, 0.95)(srtt) AS srtt_us
FROM tcpstats.records
GROUP BY host, minute, network;

-- Loads all hosts; the path contains the name of the host.  A run of the logger
-- numbers its snapshots from 1, across all files of a rotated log.
INSERT INTO tcpstats.records
WITH
    logs AS
    (
        SELECT extract(_path, 'host=([^/]+)/') AS host, *
        FROM file('fleet/host=*/*.parquet', Parquet)
    ),
    files AS
    (
        SELECT host, log_start, min(snapshot) AS first, max(snapshot) AS last FROM logs GROUP BY host, log_start
    ),
    pairs AS
    (
        SELECT *, lagInFrame(last, 1, 0) OVER
            (PARTITION BY host ORDER BY log_start ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
        FROM files
    ),
    runs AS
    (
        SELECT host, log_start, countIf(first <= before) OVER (PARTITION BY host ORDER BY log_start) AS run FROM pairs
    )
SELECT
    host,
    fromUnixTimestamp64Nano(time_ns, 'UTC'),
    run,
    cityHash64(run, ifNull(vnet, 0), ifNull(gencnt, 0), laddr, lport, faddr, fport, ifNull(zone, 0)) AS connection,
    vnet,
    ifNull(gencnt, 0),
    toIPv6(assumeNotNull(laddr)),
    assumeNotNull(lport),
    toIPv6(assumeNotNull(faddr)),
    assumeNotNull(fport),
    assumeNotNull(state),
    uid,
    ifNull(cc, ''),
    snd_cwnd, snd_ssthresh, snd_wnd, rcv_wnd, srtt, rttvar, inflight, snd_cc, acked_bytes, rexmit_bytes,
    ifNull(toInt64(acked_bytes) - lagInFrame(toInt64(acked_bytes), 1, toInt64(acked_bytes)) OVER history, 0),
    ifNull(toInt64(rexmit_bytes) - lagInFrame(toInt64(rexmit_bytes), 1, toInt64(rexmit_bytes)) OVER history, 0)
FROM logs INNER JOIN runs USING (host, log_start)
WHERE state NOT IN ('LISTEN', 'CLOSED', 'TIME_WAIT')
WINDOW history AS (PARTITION BY host, connection ORDER BY snapshot, time_ns ROWS BETWEEN 1 PRECEDING AND CURRENT ROW);

-- The contents of the roll-up.
SELECT
    host, minute, network,
    uniqExactMerge(connections) AS connections,
    sum(acked_bytes) AS acked_bytes,
    sum(rexmit_bytes) AS rexmit_bytes,
    quantilesTDigestMerge(0.5, 0.95)(srtt_us) AS srtt_us
FROM tcpstats.per_minute
GROUP BY host, minute, network
ORDER BY host, minute, network;
