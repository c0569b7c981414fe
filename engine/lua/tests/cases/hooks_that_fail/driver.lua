local M = load_module()
local f = M.f
for _, what in ipairs { "run", "unload", "load", "hotfix" } do
    mode = what
    local message = reload_fails("m")
    expect_text(message, what .. " failed")
    expect_text(message, ".lua:")
    expect(M.f, f)
    expect(M.f(), "old")
    expect(M.list[1], 1)
    expect(extra, nil)
end
mode = "bytes"
expect_text(reload_fails("m"), "must return a string or nothing")
mode = nil
reload("m")
expect(M.f(), "new")
