-- SPDX-License-Identifier: BSD-2-Clause
--
-- The logs in fleet/host=*/, in a table with a roll-up:
-- clickhouse local --path clickhouse --multiquery < examples/clickhouse.sql
-- A server reads files under its user_files_path.

CREATE DATABASE IF NOT EXISTS tcpstats;

-- A record a row.  Names and units are those of tcpstats(5); more of them can be added.
CREATE TABLE IF NOT EXISTS tcpstats.records
(
    host LowCardinality(String),
    time DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
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
    -- Since the record before of the same connection.
    acked UInt64 CODEC(T64, ZSTD),
    rexmit UInt64 CODEC(T64, ZSTD)
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (host, gencnt, time);

-- Per minute and network, /24 of IPv4 and /48 of IPv6; it follows every insert.
CREATE TABLE IF NOT EXISTS tcpstats.per_minute
(
    host LowCardinality(String),
    minute DateTime('UTC'),
    network IPv6,
    connections AggregateFunction(uniqExact, UInt64),
    acked_bytes SimpleAggregateFunction(sum, UInt64),
    rexmit_bytes SimpleAggregateFunction(sum, UInt64),
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
    uniqExactState(gencnt) AS connections,
    sum(acked) AS acked_bytes,
    sum(rexmit) AS rexmit_bytes,
    quantilesTDigestState(0.5, 0.95)(srtt) AS srtt_us
FROM tcpstats.records
GROUP BY host, minute, network;

-- All hosts at once; the path tells which one.
INSERT INTO tcpstats.records
SELECT
    extract(_path, 'host=([^/]+)/') AS host,
    assumeNotNull(time),
    assumeNotNull(gencnt),
    toIPv6(assumeNotNull(laddr)),
    assumeNotNull(lport),
    toIPv6(assumeNotNull(faddr)),
    assumeNotNull(fport),
    assumeNotNull(state),
    uid,
    ifNull(cc, ''),
    snd_cwnd, snd_ssthresh, snd_wnd, rcv_wnd, srtt, rttvar, inflight, snd_cc, acked_bytes, rexmit_bytes,
    ifNull(acked_bytes - lagInFrame(acked_bytes, 1, acked_bytes) OVER connection, 0),
    ifNull(rexmit_bytes - lagInFrame(rexmit_bytes, 1, rexmit_bytes) OVER connection, 0)
FROM file('fleet/host=*/*.parquet', Parquet)
WHERE note IS NULL AND state NOT IN ('LISTEN', 'CLOSED', 'TIME_WAIT')
WINDOW connection AS
    (PARTITION BY extract(_path, 'host=([^/]+)/'), gencnt ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW);

-- What the roll-up has.
SELECT
    host, minute, network,
    uniqExactMerge(connections) AS connections,
    sum(acked_bytes) AS acked_bytes,
    sum(rexmit_bytes) AS rexmit_bytes,
    quantilesTDigestMerge(0.5, 0.95)(srtt_us) AS srtt_us
FROM tcpstats.per_minute
GROUP BY host, minute, network
ORDER BY host, minute, network;
