local M = { runs = 0 }
local secret = 1
function M.set(value) secret = value end
function M.__on_unload__() return "secret " .. secret end
function M.__on_load__(bytes) M.first = bytes == nil end
return M
