(******************************************************************************)
(*      The structure of W: Toeplitz, doubly block Toeplitz, block diagonal   *)
(*                                                                            *)
(* A matrix T is Toeplitz when T u j depends on j - u only; with stride s, on *)
(* j - s u.  The matrix of a 2-D convolution, channel by channel, is a block  *)
(* Toeplitz matrix of Toeplitz blocks: its entry at output (o, u, v) and      *)
(* input (c, i, j) depends on o, c, i - s1 u and j - s2 v only.               *)
(*                                                                            *)
(*    tau1 w dl z == the entry of toep1 on the diagonal z (an integer)        *)
(*    tau2 ... o c z1 z2 == the entry of conv2_mx on the diagonals z1, z2     *)
(*    spread w dl == the taps w at distance dl, zeros between them            *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern correlation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Lemma eq_diagonal (j u z : nat) : (j == u + z)%N = (j%:Z - u%:Z == z%:Z).
Proof. by rewrite subr_eq -PoszD eqz_nat addnC. Qed.

Section OneAxis.
Variables (K : comRingType) (N k m : nat) (w : 'I_k -> K) (s dl : nat).
Local Notation T := (@toep1 K N k m w s dl).

Definition tau1 (z : int) : K := \sum_(a < k) w a * (z == (a * dl)%:Z)%:R.

Theorem toep1_diagonals u j : T u j = tau1 (j%:Z - (u * s)%:Z).
Proof. by rewrite mxE; apply: eq_bigr => a _; rewrite eq_diagonal. Qed.

Theorem toep1_shift (u u' : 'I_m) (j j' : 'I_N) :
  u' = u.+1 :> nat -> j' = (j + s)%N :> nat -> T u' j' = T u j.
Proof. by move=> Eu Ej; rewrite !toep1_diagonals Eu Ej mulSn !PoszD addrKA. Qed.

(* a stride keeps every s-th row of the matrix without stride *)
Theorem toep1_stride M (u : 'I_m) (u' : 'I_M) j :
  u' = (u * s)%N :> nat -> T u j = @toep1 K N k M w 1 dl u' j.
Proof. by move=> Eu; rewrite !mxE; apply: eq_bigr => a _; rewrite Eu muln1. Qed.

(* a dilation spreads the taps *)
Definition spread (c : 'I_(dl * k.-1).+1) : K := \sum_(a < k) w a * (c == a * dl :> nat)%N%:R.

Theorem toep1_dilation u j : T u j = @toep1 K N (dl * k.-1).+1 m spread s 1 u j.
Proof.
rewrite !mxE; under [RHS]eq_bigr do rewrite mulr_suml.
rewrite exchange_big; apply: eq_bigr => a _ /=.
have a_c : (a * dl < (dl * k.-1).+1)%N.
  by rewrite ltnS mulnC leq_mul2l -ltnS (ltn_predK (ltn_ord a)) ltn_ord orbT.
rewrite (bigD1 (Ordinal a_c)) //= eqxx mulr1 muln1 big1 ?addr0 // => c.
by rewrite -val_eqE /= => /negPf ->; rewrite mulr0 mul0r.
Qed.

End OneAxis.

Section TwoAxes.
Variables (K : comRingType) (ci co H V kh kw oh ow g s1 s2 d1 d2 : nat).
Local Notation cg := (ci %/ g)%N.
Local Notation og := (co %/ g)%N.
Variable kern : 'I_co -> 'I_cg -> 'I_kh -> 'I_kw -> K.
Local Notation F := (@convF K ci co H V kh kw oh ow g s1 s2 d1 d2 kern).

Definition tau2 (o : 'I_co) (c : 'I_ci) (z1 z2 : int) : K :=
  \sum_(c' < cg) \sum_(a < kh) \sum_(b < kw)
    kern o c' a b * [&& c == o %/ og * cg + c' :> nat, z1 == (a * d1)%:Z & z2 == (b * d2)%:Z]%N%:R.

Theorem conv2_doubly_block_toeplitz o c u v i j :
  F (o, u, v) (c, i, j) = tau2 o c (i%:Z - (u * s1)%:Z) (j%:Z - (v * s2)%:Z).
Proof. by do 3 (apply: eq_bigr => ? _); rewrite /= !eq_diagonal. Qed.

(* constant along the diagonals of blocks, *)
Theorem conv2_shift_rows o c (u u' : 'I_oh) v (i i' : 'I_H) j :
  u' = u.+1 :> nat -> i' = (i + s1)%N :> nat -> F (o, u', v) (c, i', j) = F (o, u, v) (c, i, j).
Proof.
by move=> Eu Ei; rewrite !conv2_doubly_block_toeplitz Eu Ei mulSn !PoszD addrKA.
Qed.

(* and along the diagonals of each block *)
Theorem conv2_shift_cols o c u (v v' : 'I_ow) i (j j' : 'I_V) :
  v' = v.+1 :> nat -> j' = (j + s2)%N :> nat -> F (o, u, v') (c, i, j') = F (o, u, v) (c, i, j).
Proof.
by move=> Ev Ej; rewrite !conv2_doubly_block_toeplitz Ev Ej mulSn !PoszD addrKA.
Qed.

(* strides keep every s1-th block of rows and every s2-th row in it *)
Theorem conv2_stride OH OW o c (u : 'I_oh) (v : 'I_ow) (u' : 'I_OH) (v' : 'I_OW) i j :
  u' = (u * s1)%N :> nat -> v' = (v * s2)%N :> nat ->
  F (o, u, v) (c, i, j) = @convF K ci co H V kh kw OH OW g 1 1 d1 d2 kern (o, u', v') (c, i, j).
Proof. by move=> Eu Ev; do 3 (apply: eq_bigr => ? _); rewrite /= Eu Ev !muln1. Qed.

(* groups: no entry joins an output of one group to an input of another, *)
Theorem conv2_groups_apart (o : 'I_co) (c : 'I_ci) u v i j :
  (c %/ cg <> o %/ og :> nat)%N -> F (o, u, v) (c, i, j) = 0.
Proof.
move=> apart; rewrite /convF big1 // => c' _; rewrite big1 // => a _; rewrite big1 // => b _.
case: (_ =P _) => [E|_]; last by rewrite mulr0.
have cg0 : (0 < cg)%N := leq_ltn_trans (leq0n c') (ltn_ord c').
by case: apart; rewrite E divnMDl // (divn_small (ltn_ord c')) addn0.
Qed.

(* and inside group G stands the matrix of an ungrouped convolution with its kernels *)
Theorem conv2_group G (o : 'I_co) (o' : 'I_og) (c : 'I_ci) (c' : 'I_cg) u v i j
    (kernG : 'I_og -> 'I_(cg %/ 1) -> 'I_kh -> 'I_kw -> K) :
  o = (G * og + o')%N :> nat -> c = (G * cg + c')%N :> nat ->
  (forall q a b, kernG o' q a b = kern o (cast_ord (divn1 _) q) a b) ->
  F (o, u, v) (c, i, j) =
  @convF K cg og H V kh kw oh ow 1 s1 s2 d1 d2 kernG (o', u, v) (c', i, j).
Proof.
move=> Eo Ec Ek; have og0 : (0 < og)%N := leq_ltn_trans (leq0n o') (ltn_ord o').
rewrite /convF (reindex (cast_ord (divn1 cg))) /=; last first.
  by exists (cast_ord (esym (divn1 cg))) => q _; rewrite ?cast_ordK ?cast_ordKV.
have same (q : nat) : ((c : nat) == o %/ og * cg + q)%N =
                      ((c' : nat) == o' %/ (og %/ 1) * (cg %/ 1) + q)%N.
  by rewrite Eo Ec !divn1 divnMDl // (divn_small (ltn_ord o')) addn0 eqn_add2l mul0n.
by do 3 (apply: eq_bigr => ? _); rewrite Ek same.
Qed.

End TwoAxes.

Print Assumptions toep1_diagonals.
Print Assumptions toep1_shift.
Print Assumptions toep1_stride.
Print Assumptions toep1_dilation.
Print Assumptions conv2_doubly_block_toeplitz.
Print Assumptions conv2_shift_rows.
Print Assumptions conv2_shift_cols.
Print Assumptions conv2_stride.
Print Assumptions conv2_groups_apart.
Print Assumptions conv2_group.
