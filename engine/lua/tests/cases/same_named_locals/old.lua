local M = {}
local state = { n = 1 }
function M.first() return state.n end
do
    local state = { n = 10 }
    function M.second() return state.n end
    function M.second_add() state.n = state.n + 1 end
end
function M.first_add() state.n = state.n + 1 end
return M
