-- contract
-- An update of a row leaves the indexes alone whose columns it does not set, so the time of the last
-- change is in the row of the thread. An append writes a page less.
CREATE INDEX threads_by_update ON threads (updated_at, thread_id);
CREATE INDEX threads_of_resource_by_update ON threads (resource_id, updated_at, thread_id)
    WHERE resource_id IS NOT NULL;
DROP TABLE thread_times;
