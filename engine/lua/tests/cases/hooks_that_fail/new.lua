if mode == "run" then extra = 1 error("run failed") end
local M = { list = { 1 }, f = function() return "new" end }
function M.__on_load__() if mode == "load" then M.list[1] = "broken" error("load failed") end end
function M.__hotfix() if mode == "hotfix" then M.f = nil error("hotfix failed") end end
return M
