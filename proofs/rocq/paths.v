(******************************************************************************)
(*                   The path sum, and the number of paths                    *)
(*                                                                            *)
(* A path from s to L is a sequence s = i_0 < i_1 < ... < i_m = L, kept       *)
(* as the list q of the layers strictly between, the last one first.          *)
(*                                                                            *)
(*        descents s m == all decreasing lists with members in s+1, ..., s+m  *)
(*           paths s L == the paths from s to L (where s < L)                 *)
(*    path_mx N s q L == W^(L) P^(L) R^(i_(m-1),L-1) ...                      *)
(*                       W^(i_1) P^(i_1) R^(s,i_1-1)                          *)
(*    path_t N s q L == t^(i_(m-1),L-1) ... t^(s,i_1-1)                       *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn response.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Combinatorics.

Fixpoint descents (s m : nat) : seq (seq nat) :=
  match m with
  | 0 => [:: [::]]
  | m'.+1 => descents s m' ++ [seq (s + m')%N.+1 :: q | q <- descents s m']
  end.
Definition paths (s L : nat) : seq (seq nat) := descents s (L - s).-1.

Lemma paths_descents s m : paths s (s + m).+1 = descents s m.
Proof. by rewrite /paths -addnS addKn. Qed.

Lemma mem_descents s m q :
  (q \in descents s m) = path gtn (s + m).+1 (rcons q s).
Proof.
elim: m q => [|m IH] q.
  rewrite addn0; case: q => [|a q] /=; first by rewrite inE ltnS leqnn.
  rewrite inE; apply/esym/andP => -[]; rewrite ltnS => as_.
  move=> /(order_path_min (rev_trans ltn_trans)) /allP /(_ s).
  by rewrite mem_rcons in_cons eqxx => /(_ isT); rewrite /= ltnNge as_.
rewrite /= mem_cat IH addnS; case: q => [|a q] /=.
  by rewrite !ltnS leq_addr (leq_trans (leq_addr m s)).
have -> : (a :: q \in [seq (s + m).+1 :: x | x <- descents s m]) =
    (a == (s + m).+1) && (q \in descents s m).
  by apply/mapP/andP => [[x xm [-> ->]]|[/eqP -> qm]]; [rewrite eqxx | exists q].
rewrite IH; have [->|am] := eqVneq a (s + m).+1; first by rewrite !ltnS ltnn leqnn.
by rewrite orbF [in RHS]ltnS [in RHS]leq_eqVlt (negPf am).
Qed.

(* the paths are exactly the decreasing sequences from L to s, *)
Theorem mem_paths s L q : (s < L)%N -> (q \in paths s L) = path gtn L (rcons q s).
Proof. by move=> sL; rewrite mem_descents -addnS prednK ?subn_gt0 // subnKC // ltnW. Qed.

(* each once, *)
Theorem uniq_paths s L : uniq (paths s L).
Proof.
rewrite /paths; elim: _.-1 => //= m IH; rewrite cat_uniq IH map_inj_uniq ?IH ?andbT //; last first.
  by move=> x y [].
apply/hasPn => _ /mapP[q _ ->].
by rewrite -[mem _ _]/(_ \in descents s m) mem_descents /= ltnn.
Qed.

(* and there are 2^(L-s-1) of them, 2^(L-1) from the input *)
Theorem path_count s L : (s < L)%N -> size (paths s L) = (2 ^ (L - s).-1)%N.
Proof.
rewrite /paths => _; elim: _.-1 => //= m IH.
by rewrite size_cat size_map IH addnn -mul2n expnS.
Qed.

(* a sum over paths, by their last hop *)
Lemma sum_descents (V : zmodType) (F : seq nat -> V) s m :
  \sum_(q <- descents s m) F q =
  F [::] + \sum_(k < m) \sum_(q <- descents s k) F ((s + k)%N.+1 :: q).
Proof.
elim: m => [|m IH]; first by rewrite big_ord0 addr0 /= big_seq1.
by rewrite big_ord_recr /= big_cat IH addrA big_map.
Qed.

End Combinatorics.

Section PathSum.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p) (s : nat).

Fixpoint path_mx (q : seq nat) (L : nat) : 'M[K]_(d L, d s) :=
  match q with
  | [::] => word N s L
  | k :: q' => word N k L *m path_mx q' k
  end.
Fixpoint path_t (q : seq nat) (L : nat) : K :=
  match q with
  | [::] => strength N s L.-1
  | k :: q' => strength N k L.-1 * path_t q' k
  end.

Theorem path_sum L : (s < L)%N ->
  response N s L = \sum_(q <- paths s L) path_t q L *: path_mx q L.
Proof.
move=> sL; rewrite -(subnKC sL); move: (_ - _)%N => m {L sL}.
rewrite [(s.+1 + m)%N]addSn paths_descents; elim/ltn_ind: m => m IH.
rewrite sum_descents response_hop unit_at_neq ?ltn_eqF ?ltnS ?leq_addr // addr0.
rewrite -addnS big_split_ord /= big1 ?add0r => [|k _]; last first.
  by rewrite response_before ?mulmx0.
rewrite big_ord_recl /= addn0 response_id mulmx1 addnS; congr (_ + _).
apply: eq_bigr => k _; rewrite /bump add1n addnS IH ?ltn_ord // mulmx_sumr.
by apply: eq_bigr => q _; rewrite -scalemxAr -scalemxAl scalerA mulrC.
Qed.

End PathSum.

Section Expanded.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p).

(* W of [JV24, Thm 3.1], expanded *)
Theorem Wof_path_sum L : (0 < L)%N ->
  Wof N L = \sum_(q <- paths 0 L) path_t N 0 q L *: path_mx N 0 q L.
Proof. by move=> L0; rewrite -response_Wof path_sum. Qed.

(* B of [JV24, Thm 3.1], expanded: the last bias as it is, every other one by its paths *)
Theorem Bof_path_sum n (B : forall i, 'M[K]_(d i, n)) L :
  Bof N B L.+1 =
  \sum_(1 <= s < L.+1) (\sum_(q <- paths s L.+1) path_t N s q L.+1 *: path_mx N s q L.+1) *m B s
  + B L.+1.
Proof.
rewrite Bof_sum big_nat_recr //= response_id mul1mx; congr (_ + _).
by rewrite !big_nat; apply: eq_bigr => s /andP[_ sL]; rewrite path_sum.
Qed.

End Expanded.

Print Assumptions mem_paths.
Print Assumptions uniq_paths.
Print Assumptions path_count.
Print Assumptions path_sum.
Print Assumptions Wof_path_sum.
Print Assumptions Bof_path_sum.
