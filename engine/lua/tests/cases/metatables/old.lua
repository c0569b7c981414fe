local Base = {}
Base.__index = Base
function Base.hello() return "old" end
local M = {
    merged = setmetatable({}, Base), plain = {}, dropped = setmetatable({}, Base),
    touched = setmetatable({}, Base), cleared = setmetatable({}, Base),
}
M.Base = Base
function M.make() return setmetatable({}, Base) end
return M
