-- Everything that a source can do to what exists, and then it fails.
existing[1] = "changed"
existing.nested.a = nil
existing.nested[existing] = existing
existing.added = {}
setmetatable(existing, { __index = function() end })
_G.direct = 1
fresh_global = function() end
local m = require "m_itself"
string.extra = function() end
getmetatable("").__add = function() end
table.insert(existing, "more")
local M = require "other"
M.value = "changed"
M.set("changed")
error({ code = 1 })
