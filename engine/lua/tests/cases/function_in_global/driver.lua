expect(load_module(), true)
count = 10
local kept = spawn
local report = reload()
expect(spawn(), "new")
expect(kept, spawn)
expect(count, 10)
expect(added, 3)
expect(require "m", true)
expect_line(report, "kept count: it is 10, the source says 2")
expect_line(report, "added added")
