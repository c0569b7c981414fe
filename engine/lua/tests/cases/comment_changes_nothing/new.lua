-- A comment.
local M = {}
function M.f()
    return 1 -- another
end
return M
