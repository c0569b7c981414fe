local M = { list = { 1 }, f = function() return "old" end }
function M.mode() return mode end
function M.__on_unload__()
    if mode == "unload" then M.list[2] = 2 error("unload failed") end
    if mode == "bytes" then return {} end
end
return M
