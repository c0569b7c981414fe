local Base = {}
Base.__index = Base
function Base.hello() return "new" end
Base.__tostring = function() return "base" end
local M = {
    merged = setmetatable({}, Base), plain = setmetatable({}, { __index = { got = 1 } }), dropped = {},
    touched = setmetatable({}, Base), cleared = setmetatable({}, Base),
}
M.Base = Base
function M.make() return setmetatable({}, Base) end
return M
