local env = _G
local M = { map = { x = 1 } }
M.other = setmetatable({}, { __index = M.map })
M.alias = M.map
M.wrapped = { inside = { M.map }, [M.map] = "key" }
M.plain = setmetatable({}, getmetatable(M.other))
local keep = M
function M.__on_load__()
    local function check(value, what) if not value then error(what) end end
    check(keep == package.loaded.m, "the module")
    check(M.alias == M.map, "an added field")
    check(M.wrapped.inside[1] == M.map, "inside of an added table")
    check(M.wrapped[M.map] == "key", "a key")
    check(getmetatable(M.plain) == getmetatable(M.other), "a metatable")
    check(env == _G, "the globals")
    M.map.checked = true
end
return M
