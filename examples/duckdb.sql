-- SPDX-License-Identifier: BSD-2-Clause
--
-- Copyright (c) 2026 The siftr_cdev maintainers
--
-- Queries over the logs in fleet/host=*/: duckdb < examples/duckdb.sql

CREATE OR REPLACE VIEW records AS
    SELECT * FROM read_parquet('fleet/host=*/*.parquet', hive_partitioning = true);

-- The runs of the logger.  A run numbers its snapshots from 1, across all files of
-- a rotated log.
CREATE OR REPLACE VIEW runs AS
    WITH files AS (
        SELECT host, log_start, min(snapshot) AS first, max(snapshot) AS last FROM records GROUP BY ALL
    ), pairs AS (
        SELECT *, lag(last, 1, 0::UBIGINT) OVER (PARTITION BY host ORDER BY log_start) AS before FROM files
    )
    SELECT host, log_start, count_if(first <= before) OVER (PARTITION BY host ORDER BY log_start) AS run FROM pairs;

-- The network of an address: /24 of IPv4, /48 of IPv6.
CREATE OR REPLACE MACRO groups(part) AS list_filter(string_split(part, ':'), lambda x: x <> '');
CREATE OR REPLACE MACRO network(address) AS
    CASE WHEN address NOT LIKE '%:%' THEN regexp_replace(address, '[0-9]+$', '0/24')
    ELSE array_to_string(
        (groups(split_part(address, '::', 1))
            || list_resize([]::VARCHAR[], 8 - len(groups(replace(address, '::', ':'))), '0')
            || groups(split_part(address, '::', 2)))[1:3], ':') || '::/48'
    END;

-- What happened since the previous record of the same connection.  gencnt is
-- unique in a network stack until a reboot; after a reboot it may start again, in
-- another run.
CREATE OR REPLACE VIEW changes AS
    SELECT *,
        date_trunc('minute', time) AS minute,
        acked_bytes::BIGINT - lag(acked_bytes::BIGINT) OVER history AS acked,
        rexmit_bytes::BIGINT - lag(rexmit_bytes::BIGINT) OVER history AS rexmit
    FROM (
        SELECT records.*, run, row(run, vnet, gencnt, laddr, lport, faddr, fport, zone) AS connection
        FROM records JOIN runs USING (host, log_start)
        WHERE state NOT IN ('LISTEN', 'CLOSED', 'TIME_WAIT')
    )
    WINDOW history AS (PARTITION BY host, connection ORDER BY snapshot, time_ns);

-- The connections that retransmitted most.
SELECT host, laddr, lport, faddr, fport, max(cc) AS cc,
    date_diff('millisecond', min(time), max(time)) / 1000 AS seconds,
    greatest(sum(acked), 0) AS acked_bytes, greatest(sum(rexmit), 0) AS rexmit_bytes,
    quantile_cont(srtt, 0.5) AS srtt_median_us, quantile_cont(srtt, 0.95) AS srtt_p95_us,
    avg((snd_cwnd < snd_ssthresh)::INTEGER) AS in_slow_start
FROM changes GROUP BY host, connection, laddr, lport, faddr, fport
ORDER BY rexmit_bytes DESC NULLS LAST, host, min(time_ns), lport LIMIT 10;

-- Per minute and network.
SELECT host, minute, network(faddr) AS network,
    count(DISTINCT connection) AS connections, sum(acked) AS acked_bytes, sum(rexmit) AS rexmit_bytes,
    quantile_cont(srtt, 0.5) AS srtt_median_us, quantile_cont(srtt, 0.95) AS srtt_p95_us
FROM changes GROUP BY ALL ORDER BY ALL;

-- The top talkers of the last hour, by the final records of the connections that
-- ended in it, including those that were too short for any snapshot.
SELECT host, network(faddr) AS network, count(*) AS connections,
    sum(sent_bytes) AS sent, sum(received_bytes) AS received, sum(rexmit_bytes) AS rexmit,
    quantile_cont(duration, 0.5) / 1e6 AS duration_median_s
FROM records WHERE state = 'ENDED' AND time > (SELECT max(time) FROM records) - INTERVAL 1 HOUR
GROUP BY host, network ORDER BY sent DESC NULLS LAST, host, network LIMIT 10;

-- What the logs report as missing: the metadata contains these notes, each
-- after the number of records that precede it.
SELECT file_name, note FROM (
    SELECT file_name, unnest(string_split(decode(value), chr(10))) AS note
    FROM parquet_kv_metadata('fleet/host=*/*.parquet') WHERE decode(key) = 'tcpstats.notes'
) WHERE regexp_matches(note, '^[0-9]+ (missed|gap|source_lost|torn) ') ORDER BY ALL LIMIT 100;
